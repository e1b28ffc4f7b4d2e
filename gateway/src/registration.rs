//! Registering: an agent shows a one-time code (TOTP, RFC 6238) and a token that it has made for itself. From then on it
//! is known by that token.
//!
//! Six digits can be guessed if one may try often, so wrong codes are counted for all agents and addresses together,
//! and soon nobody's code is judged for a while. There is nothing to guess where nobody is to be registered.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use proto::link::upgrade::REGISTRATION_CODE;
use settings::Token;
use subtle::ConstantTimeEq as _;
use tokio::time::Instant;
use tracing::{error, info, warn};

use crate::{
    admission::Admission,
    auth::bearer,
    config::{Agents, Code, Config, TokenDigest, TotpSecret},
    limits::{CODE_REST, CODE_STEPS, CODES_FORGOTTEN, FREE_CODES, LONGEST_CODE_REST},
    refusal::Refusal,
};

/// Who may register, and how often it was tried in vain.
#[derive(Debug)]
pub(crate) struct Registrar {
    admission: Arc<Admission>,
    /// The agents that register, with what makes their codes.
    secrets: Vec<(String, TotpSecret)>,
    wrong: Mutex<WrongCodes>,
}

/// The answer to a good code: as whom the agent is known, and whether that is new.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Registered {
    pub(crate) agent: String,
    pub(crate) is_new: bool,
}

impl Registered {
    pub(crate) fn response(&self) -> Response<Body> {
        let body = serde_json::json!({ "agent": self.agent }).to_string() + "\n";
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = if self.is_new { StatusCode::CREATED } else { StatusCode::OK };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    }
}

/// Why nothing was registered.
#[derive(Debug)]
pub(crate) enum NotRegistered {
    /// The code is nobody's. It counts as a failed attempt.
    WrongCode,
    /// The fault is not with the code, or not only.
    Refused(Refusal),
}

impl Registrar {
    pub(crate) fn new(config: &Config, admission: Arc<Admission>) -> Self {
        let agents = match &config.agents {
            Agents::Anyone => &[][..],
            Agents::Listed(agents) => agents,
        };
        let secret = |agent: &crate::config::AgentCredential| Some((agent.name.clone(), agent.totp.clone()?));
        Self { admission, secrets: agents.iter().filter_map(secret).collect(), wrong: Mutex::default() }
    }

    /// Registers the token of whoever sends these headers, if the code in them is good.
    pub(crate) async fn register(
        self: &Arc<Self>,
        headers: &HeaderMap,
        (now, instant): (SystemTime, Instant),
    ) -> Result<Registered, NotRegistered> {
        let (code, token) = shown(headers)?;
        if let Some(agent) = self.known(&token) {
            // It has not heard of it, and asks again.
            return Ok(Registered { agent, is_new: false });
        }
        let (agent, step) = self.judge(&code, now, instant)?;
        let (this, name) = (self.clone(), agent.clone());
        // A task of its own: whoever hangs up must not end it between file and memory.
        let registered = tokio::spawn(async move { this.admission.register(&name, step, token).await }).await;
        match registered.expect("registering does not panic") {
            Ok(true) => {
                info!(agent, "an agent has registered");
                Ok(Registered { agent, is_new: true })
            }
            Ok(false) => Err(NotRegistered::WrongCode),
            Err(why) => {
                error!(agent, %why, "a registration cannot be kept");
                let why = "this gateway cannot keep the registration; its log says why";
                Err(NotRegistered::Refused(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, why)))
            }
        }
    }

    /// Whose registered token this is; only of those that still register by the gateway's file.
    fn known(&self, token: &TokenDigest) -> Option<String> {
        let agent = self.admission.registered(token)?;
        self.secrets.iter().any(|(name, _)| *name == agent).then_some(agent)
    }

    /// Whose code it is, and of which step. Every code that would be good is compared, each in constant time.
    fn judge(&self, code: &Code, now: SystemTime, instant: Instant) -> Result<(String, u64), NotRegistered> {
        let mut wrong = self.wrong.lock().expect("nothing panics while it holds the count");
        wrong.may_judge(instant).map_err(|rest| NotRegistered::Refused(Refusal::too_many_codes(rest)))?;
        let (current, _) = TotpSecret::step_at(now);
        let steps = current.saturating_sub(CODE_STEPS)..=current + CODE_STEPS;
        let mut good = Vec::new();
        for (agent, secret) in &self.secrets {
            for step in steps.clone() {
                let same: bool = secret.code(step).ct_eq(code).into();
                if same && self.admission.is_open(agent, step) {
                    good.push((agent, step));
                }
            }
        }
        // Two agents may happen to have the same one. Then it says nothing, and the next code will.
        if let [(agent, step)] = good[..] {
            wrong.forget();
            return Ok((agent.clone(), step));
        }
        let rest = wrong.count(instant);
        warn!(rest_s = rest.as_secs(), "a registration code is wrong, spent, or that of an agent that has registered");
        Err(NotRegistered::WrongCode)
    }
}

fn shown(headers: &HeaderMap) -> Result<(Code, TokenDigest), NotRegistered> {
    let mut codes = headers.get_all(REGISTRATION_CODE).iter();
    let code = codes.next().and_then(|code| Code::try_from(code.as_bytes()).ok());
    let code = code.filter(|code| codes.next().is_none() && code.iter().all(u8::is_ascii_digit));
    let token = bearer(headers).and_then(|token| std::str::from_utf8(token).ok());
    let token = token.and_then(|token| Token::new(token).ok());
    let (Some(code), Some(token)) = (code, token) else {
        let why = "who registers shows a code of six digits, and a token of its own";
        return Err(NotRegistered::Refused(Refusal::new(StatusCode::BAD_REQUEST, why)));
    };
    Ok((code, TokenDigest::of(token.expose().as_bytes())))
}

/// Wrong codes since the last good one.
#[derive(Debug, Default)]
struct WrongCodes {
    count: u32,
    last: Option<Instant>,
}

impl WrongCodes {
    /// # Errors
    /// How long no code is judged yet. To have tried makes it no longer.
    fn may_judge(&mut self, now: Instant) -> Result<(), Duration> {
        let since = self.last.map_or(CODES_FORGOTTEN, |last| now.saturating_duration_since(last));
        if since >= CODES_FORGOTTEN {
            self.forget();
        }
        let left = self.rest().saturating_sub(since);
        if left.is_zero() { Ok(()) } else { Err(left) }
    }

    /// One more; how long nothing is judged after it.
    fn count(&mut self, now: Instant) -> Duration {
        (self.count, self.last) = (self.count.saturating_add(1), Some(now));
        self.rest()
    }

    fn rest(&self) -> Duration {
        let Some(beyond) = self.count.checked_sub(FREE_CODES) else { return Duration::ZERO };
        let doubled = CODE_REST.checked_mul(1_u32.checked_shl(beyond).unwrap_or(u32::MAX));
        doubled.unwrap_or(LONGEST_CODE_REST).min(LONGEST_CODE_REST)
    }

    fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"12345678901234567890";
    const TOKEN: &str = "rb_0123456789abcdef";

    /// Two agents that register.
    fn registrar() -> Arc<Registrar> {
        let secret = |name: &str, bytes| (name.to_owned(), TotpSecret::new(bytes).unwrap());
        let secrets = vec![secret("a", SECRET), secret("b", b"another secret of b's")];
        let admission = Admission::open(crate::config::Admission::Auto, Some(Vec::new()), None).unwrap();
        Arc::new(Registrar { admission: Arc::new(admission), secrets, wrong: Mutex::default() })
    }

    fn headers(code: Code, token: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(REGISTRATION_CODE, HeaderValue::from_bytes(&code).unwrap());
        headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        headers
    }

    /// The code of a's secret so many steps after `now`.
    fn code(now: SystemTime, later: i64) -> Code {
        let (step, _) = TotpSecret::step_at(now);
        TotpSecret::new(SECRET).unwrap().code(step.checked_add_signed(later).unwrap())
    }

    fn wrong(outcome: &Result<Registered, NotRegistered>) -> bool {
        matches!(outcome, Err(NotRegistered::WrongCode))
    }

    #[tokio::test]
    async fn a_code_is_good_for_a_step_more_or_less() {
        let now = (SystemTime::now(), Instant::now());
        for (later, expected) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
            let outcome = registrar().register(&headers(code(now.0, later), TOKEN), now).await;
            assert_eq!(outcome.is_ok(), expected, "{later}: {outcome:?}");
            assert!(expected || wrong(&outcome));
        }
    }

    #[tokio::test]
    async fn a_code_registers_one_token_once() {
        let (registrar, now) = (registrar(), (SystemTime::now(), Instant::now()));
        let good = headers(code(now.0, 0), TOKEN);
        let registered = registrar.register(&good, now).await.unwrap();
        assert_eq!(registered, Registered { agent: "a".to_owned(), is_new: true });
        let again = registrar.register(&good, now).await.unwrap();
        assert_eq!(again, Registered { agent: "a".to_owned(), is_new: false }, "its answer may have been lost");
        for later in [0, 1] {
            let other = registrar.register(&headers(code(now.0, later), "rb_fedcba9876543210"), now).await;
            assert!(wrong(&other), "{later}: {other:?}");
        }
        registrar.admission.decide(crate::admission::Verb::Revoke, "a", &[], || 0).await.unwrap();
        assert!(wrong(&registrar.register(&headers(code(now.0, 1), TOKEN), now).await), "it is rejected");
        registrar.admission.decide(crate::admission::Verb::Approve, "a", &[], || 0).await.unwrap();
        assert!(wrong(&registrar.register(&good, now).await), "the code is spent for ever");
        let next = registrar.register(&headers(code(now.0, 1), "rb_fedcba9876543210"), now).await;
        assert!(next.unwrap().is_new);
    }

    #[tokio::test]
    async fn of_two_at_once_one_registers() {
        let (registrar, now) = (registrar(), (SystemTime::now(), Instant::now()));
        let (first, second) = (headers(code(now.0, 0), TOKEN), headers(code(now.0, 0), "rb_fedcba9876543210"));
        let outcomes = tokio::join!(registrar.register(&first, now), registrar.register(&second, now));
        assert!(outcomes.0.unwrap().is_new && wrong(&outcomes.1));
    }

    #[tokio::test]
    async fn guessing_is_slowed_down_for_everybody() {
        let (registrar, (now, start)) = (registrar(), (SystemTime::now(), Instant::now()));
        let bad = headers(code(now, 3), TOKEN);
        let good = headers(code(now, 0), TOKEN);
        for _ in 0..FREE_CODES {
            assert!(wrong(&registrar.register(&bad, (now, start)).await));
        }
        let refused = registrar.register(&good, (now, start)).await.unwrap_err();
        let NotRegistered::Refused(refusal) = refused else { panic!("it was judged") };
        let response = refusal.response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers()[header::RETRY_AFTER], "31");
        let registered = registrar.register(&good, (now, start + CODE_REST)).await.unwrap();
        assert!(registered.is_new);
    }

    #[test]
    fn a_day_of_guessing_gets_nowhere() {
        let start = Instant::now();
        let (mut wrong, mut guesses, mut seconds) = (WrongCodes::default(), 0, 0);
        while seconds < 24 * 3600 {
            let now = start + Duration::from_secs(seconds);
            match wrong.may_judge(now) {
                Ok(()) => {
                    guesses += 1;
                    assert!(wrong.count(now) <= LONGEST_CODE_REST);
                }
                Err(_) => seconds += 1,
            }
        }
        assert!((20..=40).contains(&guesses), "{guesses}");
        let next_day = start + Duration::from_secs(seconds) + CODES_FORGOTTEN;
        assert!(wrong.may_judge(next_day).is_ok() && wrong.rest().is_zero());
    }

    #[tokio::test]
    async fn what_is_not_shown_properly_is_not_judged() {
        let (registrar, now) = (registrar(), (SystemTime::now(), Instant::now()));
        let good = headers(code(now.0, 0), TOKEN);
        let without = |name| {
            let mut headers = good.clone();
            headers.remove(name);
            headers
        };
        let with = |value: &str| {
            let mut headers = good.clone();
            headers.insert(REGISTRATION_CODE, value.parse().unwrap());
            headers
        };
        let mut twice = good.clone();
        twice.append(REGISTRATION_CODE, HeaderValue::from_static("000000"));
        let short = headers(code(now.0, 0), "short");
        let all =
            [without(header::AUTHORIZATION), with("12345"), with("1234567"), with("12345x"), with(""), twice, short];
        for headers in all {
            let outcome = registrar.register(&headers, now).await;
            let Err(NotRegistered::Refused(refusal)) = outcome else { panic!("{headers:?}: {outcome:?}") };
            assert_eq!(refusal.response().status(), StatusCode::BAD_REQUEST);
        }
        assert!(registrar.register(&good, now).await.is_ok(), "nothing was counted");
    }
}
