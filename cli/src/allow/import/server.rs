//! Servers of an OpenAPI document: the path that stands before every path, and whether two are at the same place.

use settings::Fault;

use super::document::Server;
use crate::allow::block::tame;

/// Where a server is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Base {
    /// The scheme and authority, such as `https://api.example.com`; empty if the document is served by the server.
    pub(super) origin: String,
    /// The path, without a slash at its end: empty, or such as `/v2`.
    pub(super) path: String,
}

/// How to go on when a document does not say it.
const REMEDY: &str = "say what stands before every path with --base-path, such as --base-path /v2 or --base-path /";

impl Base {
    /// Where a server of a document is, its variables at their defaults (OpenAPI 3.1.1 §4.8.5).
    pub(super) fn of(server: &Server) -> Result<Self, Fault> {
        let url = server.url.as_ref().map_or("/", |url| url.value.as_str());
        let url = substituted(url, server)?;
        let (origin, path) = match url.split_once("://") {
            Some((scheme, rest)) => {
                let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
                (format!("{scheme}://{}", &rest[..end]).to_ascii_lowercase(), &rest[end..])
            }
            None => (String::new(), url.as_str()),
        };
        let path = path.split(['?', '#']).next().unwrap_or_default();
        Ok(Self { origin, path: base_path(path)? })
    }

    /// A path that the user gave.
    pub(super) fn given(path: &str) -> Result<Self, Fault> {
        Ok(Self { origin: String::new(), path: base_path(path)? })
    }
}

fn base_path(path: &str) -> Result<String, Fault> {
    if !path.is_empty() && !path.starts_with('/') {
        return Err(Fault::new(format!("`{}` depends on where the document is served", tame(path)), REMEDY));
    }
    Ok(path.trim_end_matches('/').to_owned())
}

fn substituted(url: &str, server: &Server) -> Result<String, Fault> {
    let mut text = String::new();
    let mut rest = url;
    while let Some((before, behind)) = rest.split_once('{') {
        let (name, behind) = behind.split_once('}').unwrap_or((behind, ""));
        let variables = server.variables.as_ref().map_or(&[][..], |variables| &variables.0);
        let variable = variables.iter().find(|(key, _)| key.value == name);
        let default = variable.and_then(|(_, variable)| variable.default.as_ref());
        let default =
            default.ok_or_else(|| Fault::new(format!("the variable `{}` has no default", tame(name)), REMEDY))?;
        text.push_str(before);
        text.push_str(&default.value);
        rest = behind;
    }
    text.push_str(rest);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use settings::{Source, yaml};

    use super::*;

    fn base(server: &str) -> Result<Base, Fault> {
        Base::of(&yaml::read(&Source::file("f", server, Path::new(""))).unwrap())
    }

    #[test]
    fn the_path_of_a_server() {
        let check = |server: &str, origin: &str, path: &str| {
            let expected = Base { origin: origin.to_owned(), path: path.to_owned() };
            assert_eq!(base(server), Ok(expected), "{server}");
        };
        check("url: https://API.example.com", "https://api.example.com", "");
        check("url: https://api.example.com/", "https://api.example.com", "");
        check("url: https://api.example.com/v2/", "https://api.example.com", "/v2");
        check("url: http://localhost:8080/a/b?x=/y#z", "http://localhost:8080", "/a/b");
        check("url: https://api.example.com?x=/y", "https://api.example.com", "");
        check("url: /v2", "", "/v2");
        check("url: /", "", "");
        check("description: none", "", "");
        check("url: '{s}://x/y'\nvariables: { s: { default: https } }", "https://x", "/y");
        let variables = "variables: { host: { default: eu }, base: { default: v2, enum: [v1, v2] } }";
        check(&format!("url: 'https://{{host}}.example.com/{{base}}'\n{variables}"), "https://eu.example.com", "/v2");
    }

    #[test]
    fn what_cannot_be_known_is_asked_for() {
        for server in ["url: v2", "url: ./v2", "url: 'https://x/{base}'", "url: '{'"] {
            assert!(base(server).is_err(), "{server}");
        }
        assert!(Base::given("v2").is_err());
        assert_eq!(Base::given("/").map(|base| base.path), Ok(String::new()));
    }
}
