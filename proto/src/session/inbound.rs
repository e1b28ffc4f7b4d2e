//! What comes in: packets, time, the end of the link.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use http::HeaderMap;

use super::{
    Answer, Event, Session, SessionError, Side, StreamError,
    limits::{CONTROL_FRAMES, INTERIMS},
    recv::charge,
    stream::{Head, Stream},
};
use crate::wire::{Frame, RequestHead, ResetCode, StreamId, decode_data, decode_text};

impl Session {
    /// Takes a text message.
    ///
    /// # Errors
    /// [`SessionError`]: the link has to be closed with its code.
    pub fn handle_text(&mut self, text: &str, now: Instant) -> Result<(), SessionError> {
        let frame = decode_text(text).map_err(|error| SessionError::violation(error.to_string()))?;
        self.handle_frame(frame, now)
    }

    /// Takes a binary message.
    ///
    /// # Errors
    /// [`SessionError`]: the link has to be closed with its code.
    pub fn handle_data(&mut self, message: Bytes, now: Instant) -> Result<(), SessionError> {
        let frame = decode_data(message).map_err(|error| SessionError::violation(error.to_string()))?;
        self.handle_frame(frame, now)
    }

    /// Takes note of a WebSocket ping, which the library answers.
    ///
    /// # Errors
    /// [`SessionError::OverBudget`] if there are too many.
    pub fn handle_ping(&mut self, now: Instant) -> Result<(), SessionError> {
        self.heard(now);
        if self.pings.spend(now) { Ok(()) } else { Err(SessionError::OverBudget("too many pings")) }
    }

    /// Takes the answer to a heartbeat.
    pub fn handle_pong(&mut self, now: Instant) {
        self.heard(now);
        self.heartbeat.handle_pong(now);
    }

    /// Takes note that something came from the peer although no message is complete: a large one takes long on a slow
    /// line.
    pub fn handle_progress(&mut self, now: Instant) {
        self.heard(now);
    }

    /// Takes note of whether the socket is full.
    pub fn handle_blocked(&mut self, blocked: bool, now: Instant) {
        self.heartbeat.handle_blocked(blocked, now);
    }

    /// Takes note of the time, at [`Session::poll_timeout`] or later.
    ///
    /// # Errors
    /// [`SessionError`] if the peer counts as dead.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), SessionError> {
        self.now = now;
        if self.deadlines.is_due(now) {
            self.look_for_overdue();
        }
        self.heartbeat.handle_timeout(now)
    }

    fn look_for_overdue(&mut self) {
        let mut any_left = false;
        for (id, stream) in &mut self.streams {
            let Some(deadline) = &mut stream.deadline else { continue };
            if !deadline.look(self.now) {
                any_left = true;
            } else if std::mem::take(&mut stream.send.watching) {
                self.events.push_back(Event::Writable(*id));
            }
        }
        self.deadlines.looked(any_left, self.now);
    }

    /// The link has ended: every stream that is not complete fails, at once.
    pub fn handle_lost(&mut self) {
        self.ended = true;
        self.control.clear();
        self.ready.clear();
        self.windows.clear();
        for id in self.ids() {
            self.abandon(id, &StreamError::LinkLost { sent: id <= self.last_sent });
        }
    }

    fn heard(&mut self, now: Instant) {
        self.now = now;
        self.heartbeat.handle_heard(now);
    }

    fn handle_frame(&mut self, frame: Frame, now: Instant) -> Result<(), SessionError> {
        self.heard(now);
        match (self.side, frame) {
            (_, Frame::Data { id, end, chunk }) => self.handle_chunk(id, end, chunk),
            (Side::Agent, Frame::Request { id, head, end }) => self.handle_request(id, head, end),
            (Side::Gateway, Frame::Response { id, head, end }) => self.handle_answer(id, Answer::Response(head), end),
            (Side::Gateway, Frame::Failure { id, failure }) => self.handle_answer(id, Answer::Failure(failure), true),
            (Side::Gateway, Frame::Interim { id, status, .. }) => self.handle_interim(id, status.as_u16() == 100),
            (_, Frame::Trailers { id, headers }) => self.handle_trailers(id, headers),
            (_, Frame::Window { id, bytes }) => self.handle_window(id, bytes),
            (_, Frame::Reset { id, code, message }) => self.handle_reset(id, code, message),
            (_, Frame::GoAway { last_id, .. }) => self.handle_go_away(last_id),
            (Side::Gateway, Frame::Services(services)) => {
                self.notice()?;
                self.events.push_back(Event::Services(services));
                Ok(())
            }
            (Side::Gateway, Frame::Renew(credential)) => {
                self.notice()?;
                self.events.push_back(Event::Renewed(credential));
                Ok(())
            }
            (side, frame) => Err(SessionError::violation(match (side, frame) {
                (_, Frame::Hello(_) | Frame::Reject(_)) => "a greeting after the greeting",
                (Side::Gateway, _) => "an agent opens no streams",
                (Side::Agent, _) => "a gateway sends no answers and announces nothing",
            })),
        }?;
        // What the peer makes us say must not pile up while it does not listen.
        if self.control.len() > 2 * CONTROL_FRAMES + 4 * self.limits.streams as usize {
            return Err(SessionError::OverBudget("too much waits to be sent"));
        }
        Ok(())
    }

    fn handle_request(&mut self, id: StreamId, head: Arc<RequestHead>, end: bool) -> Result<(), SessionError> {
        if id <= self.last_id {
            return Err(SessionError::violation("a stream id did not increase"));
        }
        (self.last_id, self.last_sent) = (id, id);
        self.allow_strays();
        if self.peer_going_away {
            return Err(SessionError::violation("a request behind the gateway's go-away"));
        }
        if self.streams.len() >= self.limits.streams as usize {
            if !end {
                self.orphaned += u64::from(self.limits.window);
            }
            self.control.push_back(Frame::Reset { id, code: ResetCode::Refused, message: String::new() });
            return self.cancelled();
        }
        self.streams.insert(id, Stream::accepted(&self.limits, self.peer.window, end));
        self.events.push_back(Event::Opened(id, head));
        Ok(())
    }

    fn handle_answer(&mut self, id: StreamId, answer: Answer, end: bool) -> Result<(), SessionError> {
        let Some(stream) = self.receiving(id)? else { return Ok(()) };
        if !matches!(stream.head, Head::Asked) {
            return Err(SessionError::violation("a stream was answered twice"));
        }
        stream.head = Head::Waiting(answer);
        if !stream.invited && std::mem::take(&mut stream.send.watching) {
            self.events.push_back(Event::Writable(id));
        }
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
        if end {
            stream.recv.end(None);
        }
        self.wake(id);
        Ok(())
    }

    fn handle_interim(&mut self, id: StreamId, invites: bool) -> Result<(), SessionError> {
        let Some(stream) = self.receiving(id)? else { return Ok(()) };
        if !matches!(stream.head, Head::Asked) {
            return Err(SessionError::violation("an interim response behind the final one"));
        }
        stream.interims += 1;
        if stream.interims > INTERIMS {
            self.reset(id, ResetCode::Violation, "too many interim responses");
        } else if invites {
            stream.invited = true;
            if std::mem::take(&mut stream.send.watching) {
                self.events.push_back(Event::Writable(id));
            }
        }
        Ok(())
    }

    fn handle_chunk(&mut self, id: StreamId, end: bool, chunk: Bytes) -> Result<(), SessionError> {
        let cost = u64::from(charge(chunk.len()));
        let (now, side) = (self.now, self.side);
        let Some(stream) = self.known(id)? else { return self.spend_orphaned(cost) };
        if stream.recv.is_complete() {
            return Err(SessionError::violation("data behind the end of a half"));
        }
        if !stream.recv.is_open() {
            return self.spend_orphaned(cost);
        }
        if side == Side::Gateway && matches!(stream.head, Head::Asked) {
            return Err(SessionError::violation("data before the answer's head"));
        }
        if !stream.recv.receive(chunk, end, now) {
            return Err(SessionError::violation("data beyond the credit lent"));
        }
        self.return_credit(id);
        self.wake(id);
        Ok(())
    }

    fn handle_trailers(&mut self, id: StreamId, headers: HeaderMap) -> Result<(), SessionError> {
        let side = self.side;
        let Some(stream) = self.receiving(id)? else { return Ok(()) };
        if side == Side::Gateway && matches!(stream.head, Head::Asked) {
            return Err(SessionError::violation("trailers before the answer's head"));
        }
        stream.recv.end(Some(headers));
        self.wake(id);
        Ok(())
    }

    fn handle_window(&mut self, id: StreamId, bytes: u32) -> Result<(), SessionError> {
        let Some(stream) = self.known(id)? else { return self.stray() };
        if stream.send.is_closed() {
            return self.stray();
        }
        if bytes == 0 || !stream.send.add_credit(bytes) {
            return Err(SessionError::violation("a window frame of no, or of too much, credit"));
        }
        self.schedule(id);
        Ok(())
    }

    fn handle_reset(&mut self, id: StreamId, code: ResetCode, message: String) -> Result<(), SessionError> {
        match self.side {
            Side::Agent => self.cancelled()?,
            // There was no room: the agent counts that as well.
            Side::Gateway if code == ResetCode::Refused => _ = self.cancels.spend(self.now),
            Side::Gateway => {}
        }
        let Some(stream) = self.known(id)? else { return self.stray() };
        if stream.is_over() {
            return self.stray();
        }
        let error = match code {
            ResetCode::Refused => StreamError::NotProcessed,
            code => StreamError::Reset { code, message },
        };
        // The peer sends nothing more: its credit is not orphaned. An answer that is complete stays so.
        stream.send.stop(error.clone());
        stream.recv.fail(error);
        self.wake(id);
        Ok(())
    }

    fn handle_go_away(&mut self, last_id: StreamId) -> Result<(), SessionError> {
        self.notice()?;
        self.peer_going_away = true;
        if !self.going_away {
            self.events.push_back(Event::GoAway);
        }
        if self.side == Side::Gateway {
            for id in self.ids().into_iter().filter(|id| *id > last_id) {
                self.abandon(id, &StreamError::NotProcessed);
            }
            // Behind every request that crosses: from this the agent knows that it has them all.
            self.drain("the agent goes away");
        }
        Ok(())
    }

    /// The stream, or `None` if it has been forgotten; an id that was never opened is a violation.
    fn known(&mut self, id: StreamId) -> Result<Option<&mut Stream>, SessionError> {
        if id > self.last_sent || id.0 == 0 {
            return Err(SessionError::violation("a frame for a stream that was never opened"));
        }
        Ok(self.streams.get_mut(&id))
    }

    /// The stream if its receiving half is open. If this side has ended it, the frame is a stray; if the peer has,
    /// a violation.
    fn receiving(&mut self, id: StreamId) -> Result<Option<&mut Stream>, SessionError> {
        let open = self.known(id)?.map(|stream| (stream.recv.is_open(), stream.recv.is_complete()));
        match open {
            Some((true, _)) => Ok(self.streams.get_mut(&id)),
            Some((_, true)) => Err(SessionError::violation("a frame behind the end of a half")),
            _ => self.stray().map(|()| None),
        }
    }

    fn spend_orphaned(&mut self, cost: u64) -> Result<(), SessionError> {
        match self.orphaned.checked_sub(cost) {
            Some(rest) => {
                self.orphaned = rest;
                Ok(())
            }
            None => Err(SessionError::violation("data beyond the credit lent to ended streams")),
        }
    }

    fn stray(&mut self) -> Result<(), SessionError> {
        match self.strays.checked_sub(1) {
            Some(rest) => {
                self.strays = rest;
                Ok(())
            }
            None => Err(SessionError::OverBudget("too many frames for ended streams")),
        }
    }

    fn cancelled(&mut self) -> Result<(), SessionError> {
        if self.cancels.spend(self.now) { Ok(()) } else { Err(SessionError::OverBudget("too many cancelled streams")) }
    }

    fn notice(&mut self) -> Result<(), SessionError> {
        if self.notices.spend(self.now) { Ok(()) } else { Err(SessionError::OverBudget("too many announcements")) }
    }
}
