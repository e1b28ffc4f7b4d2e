//! The oracle's queries: only the named parameters, each at most once, with values that are listed.

use super::{
    Query,
    path::{decode, has_bad_triplet},
};

/// Whether a rule's condition holds for what stands behind the `?`, if there is one.
pub(super) fn allows(condition: &Query, query: Option<&[u8]>) -> bool {
    let (named, required) = match condition {
        Query::Opaque => return true,
        Query::None => return query.is_none(),
        Query::Only(named, required) => (named, required),
    };
    let query = query.unwrap_or_default();
    let pairs: Vec<_> =
        if query.is_empty() { Vec::new() } else { query.split(|&byte| byte == b'&').map(pair).collect() };
    let names: Vec<_> = pairs.iter().map(|(name, _)| decode(name)).collect();
    let is_listed = |(name, value): &(&[u8], &[u8])| {
        let parameter = named.iter().find(|(listed, _)| listed.as_bytes() == decode(name));
        parameter.is_some_and(|(_, values)| values.as_ref().is_none_or(|values| has_value(values, value)))
    };
    !query.contains(&b';')
        && !has_bad_triplet(query)
        && pairs.iter().all(|(name, _)| !name.contains(&b'+'))
        && pairs.iter().all(is_listed)
        && names.iter().all(|name| names.iter().filter(|other| *other == name).count() == 1)
        && required.iter().all(|name| names.contains(&name.as_bytes().to_vec()))
}

/// A raw `+` is read as itself by some and as a space by others: both must be listed.
fn has_value(values: &[String], value: &[u8]) -> bool {
    let listed = |text: &[u8]| values.iter().any(|value| value.as_bytes() == decode(text));
    let spaced: Vec<u8> = value.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    listed(value) && listed(&spaced)
}

/// A name and its value, which may not be there.
fn pair(pair: &[u8]) -> (&[u8], &[u8]) {
    let equals = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
    (&pair[..equals], pair.get(equals + 1..).unwrap_or_default())
}
