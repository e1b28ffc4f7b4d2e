//! By which proxy each gateway is dialled: the one that the file names, else one of the environment.
//!
//! Gateways on this machine are dialled directly, whatever is set.

use std::{collections::HashMap, fmt};

use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use settings::{At, Fault, Findings, secret};

use super::{
    GatewayUrl,
    raw::RawConfig,
    url::{self, authority},
};

/// Longest `USER:PASSWORD`, in bytes: what SOCKS5 has room for (RFC 1929, section 2).
const CREDENTIALS_BYTES: usize = 255 + 1 + 255;

/// Longest name and longest password of a login, in bytes (RFC 1929, section 2).
const LOGIN_BYTES: usize = 255;

/// What takes connections for others to places that cannot be reached directly. It shows itself without credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Proxy {
    /// How it is spoken to.
    pub kind: ProxyKind,
    /// The name or address; an IPv6 address without brackets.
    pub host: String,
    /// The port; 80, 443 or 1080 if none was written.
    pub port: u16,
    /// What is shown to it, if anything.
    pub login: Option<Login>,
    /// Who says so: `proxy`, or the name of an environment variable.
    pub said_by: &'static str,
}

/// How a proxy is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// By HTTP's `CONNECT`.
    Http {
        /// Whether the proxy itself is spoken to by TLS.
        tls: bool,
        /// The `Proxy-Authorization` that the login makes, marked as sensitive.
        authorization: Option<HeaderValue>,
    },
    /// By SOCKS5; the proxy resolves names.
    Socks5,
}

/// Name and password for a proxy; for SOCKS5 of 1 to 255 bytes each. Its `Debug` hides them.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Login {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
}

impl Login {
    fn fits_socks5(&self) -> bool {
        [&self.user, &self.password].iter().all(|text| (1..=LOGIN_BYTES).contains(&text.len()))
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(hidden)")
    }
}

impl Proxy {
    /// Whether something is shown to it.
    #[must_use]
    pub fn has_credentials(&self) -> bool {
        self.login.is_some()
    }

    /// The password, as it is and as it travels.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &str> {
        let authorization = match &self.kind {
            ProxyKind::Http { authorization, .. } => authorization.as_ref(),
            ProxyKind::Socks5 => None,
        };
        let basic = authorization.and_then(|value| value.to_str().ok()?.strip_prefix("Basic "));
        self.login.as_ref().map(|login| &*login.password).into_iter().chain(basic)
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            ProxyKind::Http { tls: false, .. } => "http",
            ProxyKind::Http { tls: true, .. } => "https",
            ProxyKind::Socks5 => "socks5",
        };
        write!(f, "{scheme}://{}", authority(&self.host, Some(self.port)))
    }
}

/// The proxies of those gateways that have one. `env` looks up an environment variable.
pub(super) fn check(
    raw: &RawConfig,
    gateways: Option<&[At<GatewayUrl>]>,
    found: &mut Findings<'_>,
    env: impl Fn(&str) -> Option<String>,
) -> Option<HashMap<GatewayUrl, Proxy>> {
    let credentials = credentials(raw, found)?;
    let outside = || gateways.into_iter().flatten().map(|at| &at.value).filter(|url| !url.is_loopback());
    let named = raw.proxy.as_ref().filter(|proxy| proxy.value != "none");
    let Some(named) = named else {
        if let Some(unused) = raw.proxy_credentials_file.as_ref().or(raw.proxy_credentials_env.as_ref()) {
            let remedy = "add proxy: http://HOST:PORT, or remove this; for a proxy of the environment they stand there";
            found.fault(unused.place, Fault::new("these credentials are for no proxy", remedy));
            return None;
        }
        return match &raw.proxy {
            Some(_) => Some(HashMap::new()),
            None => of_the_environment(outside(), env).map_err(|fault| found.fault(None, fault)).ok(),
        };
    };
    let proxy = found.parsed(named, |text| of_the_file(text, credentials.as_deref()))?;
    if gateways.is_some() && outside().next().is_none() {
        found.warn(named.place, "`proxy` has no effect: gateways on this machine are dialled directly");
    }
    Some(outside().map(|url| (url.clone(), proxy.clone())).collect())
}

fn of_the_file(text: &str, credentials: Option<&str>) -> Result<Proxy, Fault> {
    let url = url::proxy(text)?;
    let (scheme, place) = url.split_once("://").expect("a checked URL has a scheme");
    let userinfo = credentials.map(|credentials| format!("{}@", encoded(credentials))).unwrap_or_default();
    let proxy = Proxy::new(&format!("{scheme}://{userinfo}{place}"), "gateway", "proxy");
    proxy.ok_or_else(|| Fault::new("this is not a proxy that can be used", "write http://HOST:PORT"))
}

/// Everything but the colon between name and password, so that nothing in them has a meaning in a URL.
fn encoded(credentials: &str) -> String {
    let (user, password) = credentials.split_once(':').expect("credentials are checked to have a colon");
    let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    format!("{}:{}", encode(user), encode(password))
}

fn of_the_environment<'a>(
    gateways: impl Iterator<Item = &'a GatewayUrl>,
    env: impl Fn(&str) -> Option<String>,
) -> Result<HashMap<GatewayUrl, Proxy>, Fault> {
    let first = |names: &[&'static str]| {
        names.iter().find_map(|name| Some((*name, env(name).filter(|value| !value.is_empty())?)))
    };
    let no_proxy = first(&["NO_PROXY", "no_proxy"]).map(|(_, hosts)| hosts).unwrap_or_default();
    let mut proxies = HashMap::new();
    for gateway in gateways {
        let own = if gateway.tls { ["HTTPS_PROXY", "https_proxy"] } else { ["HTTP_PROXY", "http_proxy"] };
        let Some((name, value)) = first(&own).or_else(|| first(&["ALL_PROXY", "all_proxy"])) else { continue };
        if intercept("http://proxy", &no_proxy, &gateway.host).is_none() {
            continue;
        }
        let proxy = Proxy::new(&value, &gateway.host, name);
        let proxy = proxy.ok_or_else(|| {
            let remedy = "write [USER:PASSWORD@]HOST:PORT behind http://, https:// or socks5:// into it; or add \
                          proxy: none to the agent's file to dial directly";
            Fault::new(format!("the environment variable {name} does not name a proxy that can be used"), remedy)
        })?;
        proxies.insert(gateway.clone(), proxy);
    }
    Ok(proxies)
}

/// What curl's rules make of a proxy, of the hosts that need none, and of a host to reach.
fn intercept(proxy: &str, no_proxy: &str, host: &str) -> Option<Intercept> {
    let target: Uri = format!("http://{}/", authority(host, None)).parse().ok()?;
    Matcher::builder().all(proxy).no(no_proxy).build().intercept(&target)
}

impl Proxy {
    /// `None` if there is no such kind of proxy, or what is to be shown to it does not fit.
    fn new(url: &str, gateway: &str, said_by: &'static str) -> Option<Self> {
        let taken = intercept(url, "", gateway)?;
        let login = login(url, gateway);
        let uri = taken.uri();
        let authorization = taken.basic_auth().cloned();
        let (kind, default_port) = match uri.scheme_str()? {
            "http" => (ProxyKind::Http { tls: false, authorization }, 80),
            "https" => (ProxyKind::Http { tls: true, authorization }, 443),
            "socks5" | "socks5h" if login.as_ref().is_none_or(Login::fits_socks5) => (ProxyKind::Socks5, 1080),
            _ => return None,
        };
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some(Self { kind, host, port: uri.port_u16().unwrap_or(default_port), login, said_by })
    }
}

/// What the URL of a proxy says of name and password. Of a SOCKS proxy's they are had as they are, whichever it is.
fn login(url: &str, gateway: &str) -> Option<Login> {
    let (_, place) = url.split_once("://").unwrap_or(("", url));
    let taken = intercept(&format!("socks5://{place}"), "", gateway)?;
    taken.raw_auth().map(|(user, password)| Login { user: user.to_owned(), password: password.to_owned() })
}

/// `USER:PASSWORD`, as a file or a variable holds it.
fn credentials(raw: &RawConfig, found: &mut Findings<'_>) -> Option<Option<String>> {
    match (&raw.proxy_credentials_file, &raw.proxy_credentials_env) {
        (Some(_), Some(env)) => {
            let remedy = "keep either `proxy_credentials_file` or `proxy_credentials_env`";
            found.fault(env.place, Fault::new("the proxy's credentials are given twice", remedy));
            None
        }
        (Some(file), None) => {
            secret::warn_of_writers(found, file);
            let path = found.source().resolve(&file.value);
            let read = || secret::from_file(&path, "the file of the proxy's credentials", CREDENTIALS_BYTES);
            found.parsed(file, |_| user_and_password(&read()?)).map(Some)
        }
        (None, env) => {
            let read = |name: &str| secret::from_env(name, "proxy_credentials_file");
            found.optional(env.as_ref(), |name| user_and_password(&read(name)?))
        }
    }
}

fn user_and_password(text: &str) -> Result<String, Fault> {
    let text = secret::without_line_end(text);
    let fits = |part: &str| (1..=LOGIN_BYTES).contains(&part.len()) && !part.contains(char::is_control);
    match text.split_once(':') {
        Some((user, password)) if fits(user) && fits(password) => Ok(text.to_owned()),
        _ => Err(Fault::new(
            "the proxy's credentials are not a name and a password",
            "put one line into it, USER:PASSWORD, with 1 to 255 bytes on either side of the first colon",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By which proxy a gateway is dialled in an environment such as `HTTPS_PROXY=http://p:1 NO_PROXY=a,b`.
    fn check(gateway: &str, environment: &str, expected: Result<Option<(&str, &str)>, &str>) {
        let gateway = url::gateway(gateway).unwrap();
        let variables: HashMap<_, _> = environment.split(' ').filter_map(|pair| pair.split_once('=')).collect();
        let found = of_the_environment([&gateway].into_iter(), |name| variables.get(name).map(ToString::to_string));
        let found = found.map(|mut found| found.remove(&gateway).map(|proxy| (proxy.to_string(), proxy.said_by)));
        let found = found.map_err(|fault| format!("{fault:?}"));
        match (&found, expected) {
            (Err(fault), Err(expected)) => assert!(fault.contains(expected), "{environment}: {fault}"),
            (Ok(found), Ok(expected)) => {
                let found = found.as_ref().map(|(url, name)| (url.as_str(), *name));
                assert_eq!(found, expected, "{environment}");
            }
            _ => panic!("{environment}: {found:?}"),
        }
    }

    #[test]
    fn the_environment() {
        let wss = |environment, expected| check("wss://gw.example.com/reachback", environment, Ok(expected));
        let ws = |environment, expected| check("ws://gw.example.com", environment, Ok(expected));
        wss("", None);
        wss("HTTPS_PROXY=http://p:3128", Some(("http://p:3128", "HTTPS_PROXY")));
        wss("https_proxy=http://p:3128", Some(("http://p:3128", "https_proxy")));
        wss("HTTPS_PROXY= https_proxy=p:3128", Some(("http://p:3128", "https_proxy")));
        wss("HTTPS_PROXY=p HTTP_PROXY=q ALL_PROXY=r", Some(("http://p:80", "HTTPS_PROXY")));
        wss("HTTP_PROXY=http://p:3128", None);
        wss("ALL_PROXY=socks5h://p", Some(("socks5://p:1080", "ALL_PROXY")));
        wss("all_proxy=https://[::1]:3129/", Some(("https://[::1]:3129", "all_proxy")));
        wss("HTTPS_PROXY=http://u:secret@p:1", Some(("http://p:1", "HTTPS_PROXY")));
        ws("HTTPS_PROXY=http://p:3128", None);
        ws("HTTP_PROXY=p:1 ALL_PROXY=q:1", Some(("http://p:1", "HTTP_PROXY")));
        ws("http_proxy=p:1", Some(("http://p:1", "http_proxy")));
        ws("ALL_PROXY=q:1", Some(("http://q:1", "ALL_PROXY")));
    }

    #[test]
    fn hosts_that_need_no_proxy() {
        let direct = |gateway: &str, hosts: &str| {
            check(gateway, &format!("ALL_PROXY=p:1 NO_PROXY={hosts}"), Ok(None));
            check(gateway, &format!("ALL_PROXY=p:1 no_proxy={hosts}"), Ok(None));
        };
        let proxied = |gateway: &str, hosts: &str| {
            check(gateway, &format!("ALL_PROXY=p:1 NO_PROXY={hosts}"), Ok(Some(("http://p:1", "ALL_PROXY"))));
        };
        direct("wss://gw.example.com", "other,gw.example.com");
        direct("wss://gw.example.com", "example.com");
        direct("wss://gw.example.com", ".example.com");
        direct("wss://gw.example.com", "*");
        direct("wss://10.1.2.3", "10.0.0.0/8");
        direct("wss://[fd00::1]", "fd00::/8");
        proxied("wss://gw.example.com", "ample.com");
        proxied("wss://gw.example.com", "example.org,gw");
        proxied("wss://11.1.2.3", "10.0.0.0/8");
        proxied("wss://gw.example.com", "");
    }

    /// A proxy that cannot be used must not lead to dials around it, and is not shown: it may hold a password.
    #[test]
    fn what_cannot_be_used_is_no_permission_to_go_around_it() {
        let wrong = |value: &str| {
            check("wss://g", &format!("HTTPS_PROXY={value}"), Err("HTTPS_PROXY does not name a proxy"));
        };
        wrong("socks4://p:1");
        wrong("ftp://u:hunter2@p:1");
        wrong("http://");
        wrong("socks5://:hunter2@p:1");
        wrong("socks5://u@p:1");
        check("wss://g", "HTTPS_PROXY=ftp://p NO_PROXY=g", Ok(None));
        check("ws://g", "HTTPS_PROXY=ftp://p", Ok(None));
    }

    #[test]
    fn credentials_pass_as_they_are_and_are_never_shown() {
        let basic = of_the_file("http://p:1", Some("Aladdin:open:se@ me/%41ä")).unwrap();
        let ProxyKind::Http { tls: false, authorization: Some(shown) } = &basic.kind else { panic!("{basic:?}") };
        assert_eq!(shown, "Basic QWxhZGRpbjpvcGVuOnNlQCBtZS8lNDHDpA==");
        assert!(shown.is_sensitive());
        let socks = of_the_file("socks5://p:1", Some("Aladdin:open:se@ me/%41ä")).unwrap();
        assert_eq!(socks.kind, ProxyKind::Socks5);
        let by_variable = "http://Aladdin:open%3Ase%40%20me%2F%2541%C3%A4@p:1";
        let by_variable = Proxy::new(by_variable, "g", "HTTP_PROXY").unwrap();
        for proxy in [&basic, &socks, &by_variable] {
            let login = proxy.login.as_ref().unwrap();
            assert_eq!((login.user.as_str(), login.password.as_str()), ("Aladdin", "open:se@ me/%41ä"));
        }
        let password = "open:se@ me/%41ä";
        assert!(by_variable.secrets().eq([password, "QWxhZGRpbjpvcGVuOnNlQCBtZS8lNDHDpA=="]));
        assert!(socks.secrets().eq([password]));
        assert_eq!(of_the_file("http://p:1", None).unwrap().secrets().count(), 0);
        for proxy in [basic, socks] {
            let shown = format!("{proxy} {proxy:?}");
            assert!(!shown.contains("Aladdin") && !shown.contains("open") && !shown.contains("QWxh"), "{shown}");
        }
    }

    #[test]
    fn credentials_are_a_name_and_a_password() {
        let longest = format!("{}:{}", "u".repeat(255), "p".repeat(255));
        for good in ["u:p", "u:p\n", "u:p\r\n", "u:a b:ü", &longest, &format!("{longest}\r\n")] {
            assert!(user_and_password(good).is_ok(), "{good:?}");
        }
        let long = [format!("{}:p", "u".repeat(256)), format!("u:{}", "p".repeat(256))];
        for bad in ["", "u", "u:", ":p", "u:p\n\n", "u:p\0", &long[0], &long[1]] {
            assert!(!format!("{:?}", user_and_password(bad).unwrap_err()).contains("u:"), "{bad:?}");
        }
    }
}
