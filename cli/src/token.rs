//! `reachback token new`: a token for an agent, and the line by which a gateway knows it.

use std::fmt::Write as _;

use gateway::config::TokenDigest;

use crate::exit::Exit;

/// What tokens begin with, so that scanners for leaked secrets find them.
const PREFIX: &str = "rb_";

/// Random bytes of a token: nobody guesses it, and a plain SHA-256 of it gives nothing away.
const BYTES: usize = 32;

/// Prints the token alone to standard output, where it can be sent into a file, and the rest to standard error.
pub(crate) fn new(agent: Option<&str>) -> Result<(), Exit> {
    let agent = agent.map(settings::net::name).transpose().map_err(Exit::usage)?;
    let mut random = [0; BYTES];
    getrandom::fill(&mut random).map_err(Exit::failed)?;
    let token = token(&random);
    println!("{token}");
    eprintln!("{}", advice(&token, agent.as_deref().unwrap_or("NAME")));
    Ok(())
}

fn token(random: &[u8]) -> String {
    random.iter().fold(PREFIX.to_owned(), |mut token, byte| {
        let _ = write!(token, "{byte:02x}");
        token
    })
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
    fn a_token_and_its_line() {
        let token = token(&[0xab; BYTES]);
        assert_eq!(token, format!("rb_{}", "ab".repeat(32)));
        assert!(settings::Token::new(&token).is_ok());
        let advice = advice(&token, "warehouse-7");
        assert!(!advice.contains(&token), "it stands in one place only");
        let (_, rest) = advice.split_once("token_sha256: [").unwrap();
        let (digest, _) = rest.split_once(']').unwrap();
        assert_eq!(TokenDigest::parse(digest), Ok(TokenDigest::of(token.as_bytes())));
    }
}
