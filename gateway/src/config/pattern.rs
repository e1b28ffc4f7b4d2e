//! Which services an agent may serve: `orders`, `*.acme` or `*`.

use std::{fmt, str::FromStr};

use proto::wire::{InvalidName, ServiceName};

/// A pattern of service names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServicePattern {
    /// `*`: every service.
    Any,
    /// `*.acme`: every service whose name ends in `.acme`, at any depth; `acme` itself is not one.
    Below(ServiceName),
    /// `orders`: this service.
    Exactly(ServiceName),
}

impl ServicePattern {
    /// Whether a service is one of these.
    #[must_use]
    pub fn matches(&self, service: &ServiceName) -> bool {
        match self {
            Self::Any => true,
            Self::Below(parent) => {
                let head = service.as_str().strip_suffix(parent.as_str());
                head.is_some_and(|head| head.ends_with('.'))
            }
            Self::Exactly(name) => name == service,
        }
    }
}

impl FromStr for ServicePattern {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        match text.strip_prefix("*.") {
            _ if text == "*" => Ok(Self::Any),
            Some(parent) => ServiceName::new(parent).map(Self::Below),
            None => ServiceName::new(text).map(Self::Exactly),
        }
    }
}

impl fmt::Display for ServicePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Below(parent) => write!(f, "*.{parent}"),
            Self::Exactly(name) => name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matching() {
        let check = |pattern: &str, service: &str, expected: bool| {
            let pattern: ServicePattern = pattern.parse().unwrap();
            assert_eq!(pattern.matches(&service.parse().unwrap()), expected, "{pattern} {service}");
        };
        check("*", "orders", true);
        check("orders", "orders", true);
        check("orders", "orders.acme", false);
        check("*.acme", "jira.acme", true);
        check("*.acme", "a.b.acme", true);
        check("*.acme", "acme", false);
        check("*.acme", "jiraacme", false);
        check("*.acme", "jira.acme.evil", false);
    }

    #[test]
    fn spelling() {
        for good in ["*", "*.acme", "*.a.b", "orders", "jira.acme"] {
            assert_eq!(good.parse::<ServicePattern>().unwrap().to_string(), good);
        }
        for bad in ["", "**", "*acme", "acme.*", "*.", "a.*.b", "Orders", "*.*"] {
            assert!(bad.parse::<ServicePattern>().is_err(), "{bad}");
        }
    }
}
