//! What the agent shows to others and nobody else may see: it is taken out of what they say, for they may say it back.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::limits::{SECRET_PIECE, SECRETS, SHORTEST_SECRET};

/// What stands in the place of a secret.
const HIDDEN: &str = "[hidden]";

/// The secrets that the agent has shown lately, to whomever: tokens, a registration code, credentials of proxies.
#[derive(Default)]
pub(crate) struct Secrets(Mutex<VecDeque<Secret>>);

struct Secret {
    whole: Vec<u8>,
    /// Each [`SECRET_PIECE`] bytes of it; none if it is shorter.
    pieces: HashSet<[u8; SECRET_PIECE]>,
}

impl Secrets {
    /// Hides this from now on. Not what is shorter than [`SHORTEST_SECRET`]: that is in every other word, and where it is
    /// hidden it would be told.
    pub(crate) fn learn(&self, secret: &str) {
        let whole = secret.as_bytes().to_vec();
        if whole.len() < SHORTEST_SECRET {
            return;
        }
        let mut known = self.lock();
        // What is shown again is forgotten last.
        let at = known.iter().position(|known| known.whole == whole);
        let secret = at.and_then(|at| known.remove(at)).unwrap_or_else(|| Secret::new(whole));
        known.push_back(secret);
        if known.len() > SECRETS {
            known.pop_front();
        }
    }

    /// A stranger's text without secrets. Long pieces of one are hidden too: whoever said it may have cut it, or the
    /// place where it was said had no room for all of it.
    pub(crate) fn hide(&self, text: &str) -> String {
        let mut hidden = vec![false; text.len()];
        self.lock().iter().for_each(|secret| secret.mark(text.as_bytes(), &mut hidden));
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

    /// The first words of a stranger's text, in one line and without secrets: `most` characters, cut only when nothing
    /// is left in it that could be half shown.
    pub(crate) fn first_words(&self, text: &str, most: usize) -> String {
        let shown = self.hide(&text.replace(char::is_control, " "));
        shown.trim().chars().take(most).collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Secret>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Secret {
    fn new(whole: Vec<u8>) -> Self {
        let pieces = whole.windows(SECRET_PIECE).filter_map(|piece| piece.try_into().ok()).collect();
        Self { whole, pieces }
    }

    /// Marks which bytes of a text are of this secret.
    fn mark(&self, text: &[u8], hidden: &mut [bool]) {
        let length = self.whole.len().min(SECRET_PIECE);
        for (at, found) in text.windows(length).enumerate() {
            if found == self.whole || self.pieces.contains(found) {
                hidden[at..at + length].fill(true);
            }
        }
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
        let check = |text: &str, most: usize, expected: &str| assert_eq!(known.first_words(text, most), expected);
        check("  one\r\ntwo\t", 20, "one  two");
        check("12345", 5, "12345");
        check("123456", 5, "12345");
        check(&format!("{} {TOKEN}", "x".repeat(5)), 12, "xxxxx [hidde");
        check("two\nwords", 20, HIDDEN);
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
        assert_eq!(known.lock().len(), SECRETS);
    }
}
