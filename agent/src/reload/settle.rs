//! When a file that is being changed is worth reading. Pure: what happened and when in, when to read out.

use std::time::Instant;

use crate::limits::{RELOAD_LATEST, RELOAD_QUIET, RELOAD_WRITER};

/// What happened to the file or around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Happened {
    /// Somebody wrote into it, and has it still open.
    Written,
    /// Somebody who wrote into it has closed it.
    Closed,
    /// Something in its folder was made, renamed or removed: perhaps the file, perhaps a link on the way to it.
    Moved,
    /// Anything else that may have changed what can be read.
    Touched,
}

/// What has happened since the file was last read.
#[derive(Debug, Default)]
pub(super) struct Settle {
    span: Option<(Instant, Instant)>,
    writing: bool,
}

impl Settle {
    pub(super) fn note(&mut self, happened: Happened, now: Instant) {
        let first = self.span.map_or(now, |(first, _)| first);
        self.span = Some((first, now));
        match happened {
            Happened::Written => self.writing = true,
            // What stands there now is another file, and whole.
            Happened::Closed | Happened::Moved => self.writing = false,
            Happened::Touched => {}
        }
    }

    /// When to read; never if nothing has happened. A file that is open for writing is left alone for longer: half of
    /// it may look like a good one.
    pub(super) fn due(&self) -> Option<Instant> {
        let (first, last) = self.span?;
        Some(if self.writing { last + RELOAD_WRITER } else { (last + RELOAD_QUIET).min(first + RELOAD_LATEST) })
    }

    /// It is being read.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// What happened, each so many milliseconds after the beginning; when to read, counted likewise.
    fn check(happened: &[(u64, Happened)], due: Option<Duration>) {
        let start = Instant::now();
        let mut settle = Settle::default();
        for (at, happened) in happened {
            settle.note(*happened, start + Duration::from_millis(*at));
        }
        assert_eq!(settle.due().map(|due| due - start), due, "{happened:?}");
        settle.clear();
        assert_eq!(settle.due(), None);
    }

    #[test]
    fn reads_once_it_is_quiet() {
        use Happened::{Closed, Moved, Touched, Written};
        let ms = Duration::from_millis;
        check(&[], None);
        check(&[(0, Moved)], Some(RELOAD_QUIET));
        check(&[(0, Moved), (50, Moved), (90, Touched)], Some(ms(90) + RELOAD_QUIET));
        check(&[(0, Touched), (1_999_999, Touched)], Some(RELOAD_LATEST));
        check(&[(0, Written)], Some(RELOAD_WRITER));
        check(&[(0, Written), (5000, Written)], Some(ms(5000) + RELOAD_WRITER));
        check(&[(0, Written), (50, Closed)], Some(ms(50) + RELOAD_QUIET));
        check(&[(0, Written), (50, Touched)], Some(ms(50) + RELOAD_WRITER));
        check(&[(0, Written), (50, Moved)], Some(ms(50) + RELOAD_QUIET));
        check(&[(0, Written), (50, Closed), (60, Written)], Some(ms(60) + RELOAD_WRITER));
    }
}
