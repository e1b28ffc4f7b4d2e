//! What goes out: packets, events, the next point in time.

use std::time::Instant;

use super::{Event, Session, stream::Stream};
use crate::wire::{Frame, Packet, encode};

impl Session {
    /// The next packet to send, or `None` if there is nothing to send now. Control before data.
    pub fn poll_packet(&mut self) -> Option<Packet> {
        if self.heartbeat.poll_ping() {
            return Some(Packet::Ping);
        }
        self.poll_control().or_else(|| self.poll_window()).or_else(|| self.poll_data()).map(|frame| encode(&frame))
    }

    /// Whether [`Session::poll_packet`] may have something.
    #[must_use]
    pub fn has_packets(&self) -> bool {
        let queued = !(self.control.is_empty() && self.windows.is_empty() && self.ready.is_empty());
        queued || self.heartbeat.is_ping_due()
    }

    /// Whether [`Session::poll_timeout`] may have come nearer since the last call.
    pub fn take_nearer_timeout(&mut self) -> bool {
        std::mem::take(&mut self.is_doubt_news) | self.deadlines.take_news()
    }

    /// What the application has to look at.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Session::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        let next = self.heartbeat.poll_timeout();
        self.deadlines.poll_timeout().map_or(next, |at| next.min(at))
    }

    fn poll_control(&mut self) -> Option<Frame> {
        loop {
            let frame = self.control.pop_front()?;
            if let Frame::Request { id, .. } = &frame {
                if self.streams.get(id).is_none_or(Stream::is_over) {
                    // Its client gave up before its turn came: the peer never hears of it.
                    continue;
                }
                self.last_sent = *id;
            }
            return Some(frame);
        }
    }

    fn poll_window(&mut self) -> Option<Frame> {
        loop {
            let id = self.windows.pop_front()?;
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            stream.window_queued = false;
            if let Some(bytes) = stream.recv.take_owed() {
                return Some(Frame::Window { id, bytes });
            }
        }
    }

    fn poll_data(&mut self) -> Option<Frame> {
        loop {
            let id = self.ready.pop_front()?;
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            stream.send.queued = false;
            let Some(frame) = stream.send.next_frame(id) else { continue };
            self.schedule(id);
            if self.streams.get(&id).is_some_and(|stream| stream.send.is_closed()) {
                self.complete_early(id);
            }
            self.wake(id);
            return Some(frame);
        }
    }
}
