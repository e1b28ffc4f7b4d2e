//! How many requests of one service may be at its upstream at once.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use proto::wire::{Failure, FailureCode};

/// The places of one service.
#[derive(Debug)]
pub(crate) struct Places {
    most: u32,
    taken: Arc<AtomicU32>,
}

impl Places {
    /// Whoever is in one of the `earlier` places stays in it.
    pub(crate) fn new(most: u32, earlier: Option<&Self>) -> Self {
        Self { most, taken: earlier.map(|earlier| earlier.taken.clone()).unwrap_or_default() }
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> u32 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Takes a place, or says that there is none: nothing was sent, so that another agent may take the request.
    pub(crate) fn take(&self) -> Result<Place<'_>, Failure> {
        let place = Place { taken: &self.taken };
        if self.taken.fetch_add(1, Ordering::Relaxed) < self.most {
            return Ok(place);
        }
        let message =
            format!("the service has {} requests at its upstream, as many as its max_in_flight allows", self.most);
        Err(Failure::retry_safe(FailureCode::Overloaded, message))
    }
}

/// A request at the upstream, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    taken: &'a AtomicU32,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_are_permitted() {
        let places = Places::new(2, None);
        let taken = [places.take(), places.take()];
        assert!(taken.iter().all(Result::is_ok));
        let refused = places.take().unwrap_err();
        assert!(refused.retry_safe && refused.code == FailureCode::Overloaded);
        let fewer = Places::new(1, Some(&places));
        assert!(fewer.take().is_err(), "those who are there count");
        drop(taken);
        assert!(fewer.take().is_ok() && places.take().is_ok());
    }
}
