//! What the agent shows to others and nobody else may see: it is taken out of what they say, for they may say it back.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::limits::{SECRET_PIECE, SECRETS};

/// What stands in the place of a secret.
const HIDDEN: &str = "[hidden]";

/// The secrets that the agent has shown lately, to whomever: tokens, a registration code, credentials of proxies.
#[derive(Default)]
pub(crate) struct Secrets(Mutex<VecDeque<Vec<char>>>);

impl Secrets {
    /// Hides this from now on.
    pub(crate) fn learn(&self, secret: &str) {
        let secret: Vec<char> = secret.chars().collect();
        if secret.is_empty() {
            return;
        }
        let mut known = self.lock();
        // What is shown again is forgotten last.
        known.retain(|known| *known != secret);
        known.push_back(secret);
        if known.len() > SECRETS {
            known.pop_front();
        }
    }

    /// A stranger's text without secrets. Long pieces of one are hidden too: whoever said it may have cut it, or the
    /// place where it was said had no room for all of it.
    pub(crate) fn hide(&self, text: &str) -> String {
        let text: Vec<char> = text.chars().collect();
        let mut hidden = vec![false; text.len()];
        for secret in self.lock().iter() {
            let length = secret.len().min(SECRET_PIECE);
            let pieces: HashSet<&[char]> = secret.windows(length).collect();
            for (at, found) in text.windows(length).enumerate() {
                if pieces.contains(found) {
                    hidden[at..at + length].fill(true);
                }
            }
        }
        let mut shown = String::with_capacity(text.len());
        for (at, c) in text.iter().enumerate() {
            match (hidden[at], at > 0 && hidden[at - 1]) {
                (false, _) => shown.push(*c),
                (true, false) => shown.push_str(HIDDEN),
                (true, true) => {}
            }
        }
        shown
    }

    /// The first words of a stranger's text, in one line and without secrets: `most` characters, cut only when nothing
    /// is left in it that could be half shown.
    pub(crate) fn first_words(&self, text: &str, most: usize) -> String {
        let shown = self.hide(&text.replace(char::is_control, " "));
        shown.trim().chars().take(most).collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Vec<char>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        let known = knowing(&[TOKEN, "739518", "löve läce", ""]);
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
