//! Step 8: a query that tells the upstream to act as another method.

use http::Method;

use super::segment;

/// Keys that frameworks take for the method: `_method` (Rails, Symfony, Laravel, Express, Spring) and the name of the
/// header, which ASP.NET MVC also looks up in the query.
const KEYS: [&str; 2] = ["_method", "x-http-method-override"];

/// Whether some upstream may read a method out of the query. `;` counts as a separator because several frameworks
/// split there.
pub(super) fn overrides_method(query: &[u8]) -> bool {
    let mut name = Vec::new();
    query.split(|byte| matches!(byte, b'&' | b';')).any(|pair| {
        name.clear();
        segment::decode(pair.split(|&byte| byte == b'=').next().unwrap_or_default(), &mut name);
        names_method(&mut name)
    })
}

/// Whether a method is one that upstreams let nothing override.
pub(super) fn is_exempt(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Whether a key, decoded, names the method.
pub(super) fn is_override(name: &str) -> bool {
    names_method(&mut name.as_bytes().to_vec())
}

/// Reads a decoded key as leniently as PHP does, the most lenient reader known: cut at NUL and at `[`, leading
/// white space gone, `.` and space turned into `_`; and without regard to case, as ASP.NET does.
fn names_method(name: &mut [u8]) -> bool {
    name.iter_mut().filter(|byte| **byte == b'+').for_each(|byte| *byte = b' ');
    let end = name.iter().position(|byte| matches!(byte, 0 | b'[')).unwrap_or(name.len());
    let name = name[..end].trim_ascii();
    KEYS.iter().any(|key| {
        let same =
            |(have, want): (&u8, u8)| have.eq_ignore_ascii_case(&want) || (want == b'_' && matches!(have, b'.' | b' '));
        key.len() == name.len() && name.iter().zip(key.bytes()).all(same)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn method_overrides() {
        let overriding = [
            "_method=DELETE",
            "a=1&_method=DELETE",
            "a=1;_method=PUT",
            "_method",
            "_method=",
            "%5Fmethod=PUT",
            "_%6d%65thod=PUT",
            "_METHOD=PUT",
            "+_method=PUT",
            "%20_method=PUT",
            ".method=PUT",
            "_method[]=PUT",
            "_method%5B0%5D=PUT",
            "_method%00x=PUT",
            "&&_method=x",
            "X-HTTP-Method-Override=PUT",
        ];
        for query in overriding {
            assert!(overrides_method(query.as_bytes()), "{query}");
        }
        let harmless = [
            "",
            "a=_method",
            "method=PUT",
            "__method=x",
            "_methods=x",
            "x_method=1",
            "%255Fmethod=PUT",
            "a=b?_method=x",
            "_metho",
            "m%ethod",
            "_method_=1",
            "q=100%",
        ];
        for query in harmless {
            assert!(!overrides_method(query.as_bytes()), "{query}");
        }
    }
}
