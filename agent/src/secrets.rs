//! What the agent shows to others and nobody else may see: it is taken out of what they say, for they may say it back.

use std::{
    collections::{HashSet, VecDeque},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::limits::{SECRET_PIECE, SECRETS, SHORTEST_SECRET, SHOWN};

/// What stands in the place of a secret.
const HIDDEN: &str = "[hidden]";

/// The secrets that the agent has shown lately, to whomever: tokens, a registration code, credentials of proxies.
#[derive(Default)]
pub(crate) struct Secrets(Mutex<Known>);

#[derive(Default)]
struct Known {
    secrets: VecDeque<Vec<u8>>,
    /// Each [`SECRET_PIECE`] bytes in a row of any of them; none of one that is shorter.
    pieces: HashSet<[u8; SECRET_PIECE]>,
}

impl Secrets {
    /// Hides this from now on. Not what is shorter than [`SHORTEST_SECRET`]: that is in every other word, and where it is
    /// hidden it would be told.
    pub(crate) fn learn(&self, secret: &str) {
        let secret = secret.as_bytes();
        if secret.len() >= SHORTEST_SECRET {
            self.lock().learn(secret);
        }
    }

    /// A stranger's text without secrets. Long pieces of one are hidden too: whoever said it may have cut it, or the
    /// place where it was said had no room for all of it.
    fn hide(&self, text: &str) -> String {
        let hidden = self.lock().found_in(text.as_bytes());
        let mut shown = String::with_capacity(text.len());
        let mut before = false;
        for (at, c) in text.char_indices() {
            let is_hidden = hidden[at..at + c.len_utf8()].contains(&true);
            match (is_hidden, before) {
                (false, _) => shown.push(c),
                (true, false) => shown.push_str(HIDDEN),
                (true, true) => {}
            }
            before = is_hidden;
        }
        shown
    }

    /// What the log and `/status` have of something in which a stranger has a say: its first words, in one line and
    /// without secrets. It is cut only when nothing is left in it that could be half shown.
    pub(crate) fn shown(&self, said: &impl fmt::Display) -> String {
        let text = self.hide(&said.to_string().replace(char::is_control, " "));
        text.trim().chars().take(SHOWN).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn learn(&mut self, secret: &[u8]) {
        let before = self.secrets.iter().position(|known| known == secret).and_then(|at| self.secrets.remove(at));
        let is_new = before.is_none();
        // What is shown again is forgotten last.
        self.secrets.push_back(before.unwrap_or_else(|| secret.to_vec()));
        if self.secrets.len() > SECRETS {
            self.secrets.pop_front();
        }
        if is_new {
            let pieces = self.secrets.iter().flat_map(|secret| secret.windows(SECRET_PIECE));
            self.pieces = pieces.filter_map(|piece| piece.try_into().ok()).collect();
        }
    }

    /// Which bytes of a text are of a secret.
    fn found_in(&self, text: &[u8]) -> Vec<bool> {
        let mut found = vec![false; text.len()];
        for (at, piece) in text.windows(SECRET_PIECE).enumerate() {
            if self.pieces.contains(piece) {
                found[at..at + SECRET_PIECE].fill(true);
            }
        }
        for short in self.secrets.iter().filter(|secret| secret.len() < SECRET_PIECE) {
            for (at, _) in text.windows(short.len()).enumerate().filter(|(_, piece)| piece == short) {
                found[at..at + short.len()].fill(true);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "rb_0123456789abcdef";

    fn knowing(secrets: &[&str]) -> Secrets {
        let known = Secrets::default();
        secrets.iter().for_each(|secret| known.learn(secret));
        known
    }

    #[test]
    fn secrets_and_pieces_of_them() {
        let known = knowing(&[TOKEN, "739518", "löve läce", "not", ""]);
        let check = |text: &str, expected: &str| assert_eq!(known.hide(text), expected, "{text}");
        check("", "");
        check("nothing of it", "nothing of it");
        check(TOKEN, HIDDEN);
        check(&format!("no {TOKEN}: {TOKEN}{TOKEN}!"), "no [hidden]: [hidden]!");
        check("code 739518 and 73951", "code [hidden] and 73951");
        check("ä löve läce ä", "ä [hidden] ä");
        // Eight characters of it, and one less.
        check("it begins with rb_01234", "it begins with [hidden]");
        check("it begins with rb_0123", "it begins with rb_0123");
        check("it ends with 89abcdef, holds 123456789", "it ends with [hidden], holds [hidden]");
        check("pieces: 01234567-89abcdef", "pieces: [hidden]-[hidden]");
    }

    #[test]
    fn what_is_cut_is_hidden_first() {
        let known = knowing(&[TOKEN, "two words"]);
        let check = |text: &str, expected: &str| assert_eq!(known.shown(&text), expected);
        check("  one\r\ntwo\t", "one  two");
        check("two\nwords", HIDDEN);
        let long = "x".repeat(SHOWN - 4);
        check(&format!("{long}12345"), &format!("{long}1234"));
        check(&format!("{long}{TOKEN}"), &format!("{long}[hid"));
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let known = knowing(&[TOKEN, "the first of many"]);
        (1..SECRETS).for_each(|n| known.learn(&format!("{n:->20}")));
        assert_eq!(known.hide("the first of many"), HIDDEN);
        assert_eq!(known.hide(TOKEN), TOKEN);
        known.learn("the first of many");
        known.learn(TOKEN);
        assert_eq!(known.hide(&format!("the first of many, {TOKEN}")), "[hidden], [hidden]");
        assert_eq!(known.lock().secrets.len(), SECRETS);
    }
}
