//! `reachback token`: a token for an agent and the line by which a gateway knows it; a secret for registration codes,
//! and its current code.

use std::{
    io::{self, IsTerminal as _},
    path::Path,
    time::SystemTime,
};

use gateway::config::{TokenDigest, TotpSecret};
use settings::Token;

use crate::{
    args::TokenCommand,
    exit::Exit,
    print::{is_read, say},
};

/// Bytes of a new secret for codes (RFC 4226 §4, R6).
const SECRET_BYTES: usize = 20;

pub(crate) fn run(command: TokenCommand) -> Result<(), Exit> {
    match command {
        TokenCommand::New { agent } => new(agent.as_deref()),
        TokenCommand::Secret { agent } => secret(agent.as_deref()),
        TokenCommand::Code { secret_file } => code(&secret_file),
    }
}

/// Prints the token alone to standard output, where it can be sent into a file, and the rest to standard error.
fn new(agent: Option<&str>) -> Result<(), Exit> {
    let agent = agent.map(settings::net::name).transpose().map_err(Exit::usage)?;
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(Exit::failed)?;
    let token = Token::of_random(&random);
    print_with(token.expose(), &advice(token.expose(), agent.as_deref().unwrap_or("NAME")))
}

/// Prints the secret alone to standard output, and what to do with it to standard error: with the secret once more, as
/// authenticator apps take it, if somebody reads along there, and not if that is kept in a log.
fn secret(agent: Option<&str>) -> Result<(), Exit> {
    let agent = agent.map(settings::net::name).transpose().map_err(Exit::usage)?;
    let mut random = [0; SECRET_BYTES];
    getrandom::fill(&mut random).map_err(Exit::failed)?;
    let secret = TotpSecret::new(&random).map_err(Exit::failed)?;
    let shown = if io::stderr().is_terminal() { secret.base32() } else { "SECRET".to_owned() };
    print_with(&secret.base32(), &advice_for_codes(&shown, agent.as_deref().unwrap_or("NAME")))
}

/// Prints the code alone to standard output, and how long it is good to standard error.
fn code(file: &Path) -> Result<(), Exit> {
    let secret = TotpSecret::from_file(file).map_err(|fault| Exit::usage(fault.of_a_flag()))?;
    let (step, left) = TotpSecret::step_at(SystemTime::now());
    let advice = format!("the next one in {} s; this one is good for 30 s more, and once", left.as_secs());
    print_with(&String::from_utf8_lossy(&secret.code(step)), &advice)
}

/// Prints what was asked for, and what to do with it, unless nobody has it.
fn print_with(asked: &str, advice: &str) -> Result<(), Exit> {
    if is_read(&format!("{asked}\n"))? {
        say(&format!("{advice}\n"));
    }
    Ok(())
}

fn advice_for_codes(secret: &str, agent: &str) -> String {
    format!(
        "
The secret is shown only once. Put it into a file that only the gateway can read, and name that in gateway.yaml:

  state_file: state.json
  agents:
    - {{ name: {agent}, totp_secret_file: {agent}.totp, services: [SERVICE] }}

Codes come from `reachback token code --secret-file {agent}.totp`, or from any authenticator app that is given

  otpauth://totp/Reachback:{agent}?secret={secret}&issuer=Reachback

Beside the agent, whose token_file must not be there yet: reachback register --config agent.yaml"
    )
}

fn advice(token: &str, agent: &str) -> String {
    let digest = TokenDigest::of(token.as_bytes());
    format!(
        "
The token is shown only once. Put it into a file that only the agent can read, and name that in agent.yaml:

  token_file: {agent}.token

In gateway.yaml (two digests in the list are valid at once, for rotation):

  agents:
    - {{ name: {agent}, token_sha256: [{digest}], services: [SERVICE] }}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_for_codes_and_where_it_goes() {
        let secret = TotpSecret::new(&[0xab; SECRET_BYTES]).unwrap();
        let advice = advice_for_codes(&secret.base32(), "warehouse-7");
        let (_, rest) = advice.split_once("otpauth://totp/Reachback:warehouse-7?secret=").unwrap();
        let (text, _) = rest.split_once('&').unwrap();
        assert_eq!(TotpSecret::parse(text), Ok(secret));
    }

    #[test]
    fn a_token_and_its_line() {
        let token = Token::of_random(&[0xab; 32]);
        let token = token.expose();
        assert_eq!(token, format!("rb_{}", "ab".repeat(32)));
        assert!(Token::new(token).is_ok());
        let advice = advice(token, "warehouse-7");
        assert!(!advice.contains(token), "it stands in one place only");
        let (_, rest) = advice.split_once("token_sha256: [").unwrap();
        let (digest, _) = rest.split_once(']').unwrap();
        assert_eq!(TokenDigest::parse(digest), Ok(TokenDigest::of(token.as_bytes())));
    }
}
