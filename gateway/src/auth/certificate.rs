//! Whose a client certificate is. That it is genuine has been settled by then.

use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};

use crate::config::{CertificateRule, SanKind};

/// Whether a certificate is the one that a rule means.
pub(super) fn is(certificate: &CertificateDer<'_>, rule: &CertificateRule) -> bool {
    let Ok(parsed) = webpki::EndEntityCert::try_from(certificate) else { return false };
    // A wildcard is the name of nobody.
    let matches = |name: &str| !name.contains('*') && rule.name.matches(name);
    match rule.kind {
        SanKind::Dns => parsed.valid_dns_names().any(|name| matches(&name.to_ascii_lowercase())),
        SanKind::Uri => parsed.valid_uri_names().any(matches),
        SanKind::CommonName => common_name(parsed.subject()).is_some_and(matches),
    }
}

/// The SHA-256 of a certificate, in hexadecimal digits: to compare it with what its owner sees.
pub(crate) fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    Sha256::digest(certificate).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The common name of a subject (RFC 5280 §4.1.2.4, DER, without the outer SEQUENCE), if it has exactly one: a sequence
/// of sets of sequences of an OID and a string.
fn common_name(subject: &[u8]) -> Option<&str> {
    /// 2.5.4.3
    const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
    let mut found = None;
    let mut sets = subject;
    while !sets.is_empty() {
        let (SET, mut attributes, rest) = element(sets)? else { return None };
        sets = rest;
        while !attributes.is_empty() {
            let (SEQUENCE, attribute, rest) = element(attributes)? else { return None };
            attributes = rest;
            let (OID, oid, value) = element(attribute)? else { return None };
            if oid != COMMON_NAME {
                continue;
            }
            let (UTF8_STRING | PRINTABLE_STRING, name, []) = element(value)? else { return None };
            if found.replace(std::str::from_utf8(name).ok()?).is_some() {
                return None;
            }
        }
    }
    found
}

const OID: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

/// The first element of DER: its tag, what it holds, and what follows it. Names are short: lengths of up to two bytes.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, length, rest) = match der {
        [tag, length @ 0..=0x7f, rest @ ..] => (*tag, usize::from(*length), rest),
        [tag, 0x81, length, rest @ ..] => (*tag, usize::from(*length), rest),
        [tag, 0x82, high, low, rest @ ..] => (*tag, usize::from(u16::from_be_bytes([*high, *low])), rest),
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;
    use crate::config::NamePattern;

    fn certificate(names: &[&str], uris: &[&str], common_names: &[&str]) -> CertificateDer<'static> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.subject_alt_names.extend(uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())));
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "x".repeat(200));
        for name in common_names {
            params.distinguished_name.push(DnType::CommonName, *name);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn only_the_name_that_the_rule_means_counts() {
        use SanKind::{CommonName, Dns, Uri};
        let uri = "spiffe://acme/ns/shop/sa/agent";
        let certificate = certificate(&["Edge-7.Example.org", "*.wild.org"], &[uri], &["edge-7"]);
        let check = |kind, pattern: &str, expected: bool| {
            let rule = CertificateRule { kind, name: NamePattern::parse(pattern).unwrap() };
            assert_eq!(is(&certificate, &rule), expected, "{rule:?}");
        };
        check(Dns, "edge-7.example.org", true);
        check(Dns, "edge-*.example.org", true);
        check(Dns, "edge-8.example.org", false);
        check(Dns, "edge-7", false);
        check(Dns, "*.wild.org", false);
        check(Uri, uri, true);
        check(Uri, "spiffe://acme/ns/*/sa/agent", true);
        check(Uri, "spiffe://acme/ns/shop/sa/other", false);
        check(Uri, "edge-7.example.org", false);
        check(CommonName, "edge-7", true);
        check(CommonName, "edge-*", true);
        check(CommonName, "edge", false);
        check(CommonName, uri, false);
    }

    #[test]
    fn damaged_names_are_nobodys() {
        let good = [&[0x31, 11, 0x30, 9, 0x06, 3, 0x55, 4, 3, 0x0c, 2][..], b"ab"].concat();
        assert_eq!(common_name(&good), Some("ab"));
        for length in 1..good.len() {
            assert_eq!(common_name(&good[..length]), None);
        }
        assert_eq!(common_name(&[good.clone(), good].concat()), None, "two names are none");
        assert_eq!(common_name(&[]), None);
    }
}
