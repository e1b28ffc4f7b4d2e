//! Methods that are probably misspelt. Any may be allowed, as servers have methods of their own: nothing is refused.

use http::Method;
use settings::report::one_slip_from;

/// The registry of methods (RFC 9110 §16.1), but for those that never pass and those of no use in a rule, and some that
/// are widely used and not registered. What most rules mean comes first.
const KNOWN: &[&str] = &[
    "GET",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "HEAD",
    "OPTIONS",
    "QUERY",
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "COPY",
    "LABEL",
    "LINK",
    "LOCK",
    "M-SEARCH",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "NOTIFY",
    "ORDERPATCH",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "REBIND",
    "REPORT",
    "SEARCH",
    "SUBSCRIBE",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UNSUBSCRIBE",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
];

/// What is said of a method that is not known, and one slip away from one that is.
pub(super) fn doubt(method: &Method) -> Option<String> {
    let name = method.as_str();
    let meant = one_slip_from(name, KNOWN).filter(|_| !KNOWN.contains(&name))?;
    Some(format!("{name} is allowed as a method of the server's own: did you mean {meant}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_told_from_methods() {
        let check = |name: &str, meant: Option<&str>| {
            let said = doubt(&Method::from_bytes(name.as_bytes()).unwrap());
            let expected = meant.map(|meant| format!(": did you mean {meant}?"));
            assert_eq!(said.as_ref().map(|said| &said[said.find(':').unwrap()..]), expected.as_deref(), "{name}");
        };
        for (slip, meant) in [
            ("GTE", "GET"),
            ("GETT", "GET"),
            ("PSOT", "POST"),
            ("PUTS", "PUT"),
            ("DELTE", "DELETE"),
            ("OPTION", "OPTIONS"),
            ("PROFIND", "PROPFIND"),
        ] {
            check(slip, Some(meant));
        }
        KNOWN.iter().for_each(|known| check(known, None));
        for own in ["PRINT", "APPROVE", "X-CUSTOM", "STATS"] {
            check(own, None);
        }
    }
}
