//! The application's verbs.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::{
    Answer, OpenError, Read, Session, Side, Stopped, StreamError,
    deadlines::Deadline,
    limits::{CONTROL_FRAMES, INTERIMS},
    stream::{Head, Stream},
};
use crate::wire::{Credential, Failure, Frame, RequestHead, ResetCode, ResponseHead, ServiceName, StreamId};

impl Session {
    /// Opens a stream (gateway). `end`: the request has no body.
    ///
    /// # Errors
    /// [`OpenError`]: nothing was queued, another link may be tried.
    pub fn open(&mut self, head: Arc<RequestHead>, end: bool) -> Result<StreamId, OpenError> {
        debug_assert!(self.side == Side::Gateway, "only the gateway opens streams");
        if self.last_id.0 == u32::MAX {
            self.drain("the link has used up its stream ids");
        }
        self.can_open()?;
        let id = StreamId(self.last_id.0 + 1);
        self.last_id = id;
        self.allow_strays();
        self.streams.insert(id, Stream::opened(&self.limits, self.peer.window, end));
        self.control.push_back(Frame::Request { id, head, end });
        Ok(id)
    }

    /// Whether a stream could be opened now (gateway).
    ///
    /// # Errors
    /// [`OpenError`] if not.
    pub fn can_open(&self) -> Result<(), OpenError> {
        if self.ended {
            return Err(OpenError::Ended);
        }
        if self.going_away {
            return Err(OpenError::Draining);
        }
        let most = self.limits.streams.min(self.peer.streams) as usize;
        if self.streams.len() >= most || self.control.len() >= CONTROL_FRAMES || !self.may_cancel_all() {
            return Err(OpenError::Full);
        }
        Ok(())
    }

    /// Whether all streams, and one more, could be cancelled now within what the agent bears: what clients do must not
    /// cost the link.
    fn may_cancel_all(&self) -> bool {
        let streams = u32::try_from(self.streams.len()).unwrap_or(u32::MAX);
        self.cancels.affords(streams.saturating_add(1), self.now)
    }

    /// Takes note of the time, by which cancels are counted, although nothing came in.
    pub fn note_time(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// The answer's head, once it is there (gateway). `Ok(None)`: an event will tell.
    ///
    /// # Errors
    /// [`StreamError`] if the stream was over before an answer came.
    pub fn answer(&mut self, id: StreamId) -> Result<Option<Answer>, StreamError> {
        let stream = self.stream(id);
        if let Some(answer) = stream.take_answer() {
            return Ok(Some(answer));
        }
        match stream.recv.error() {
            Some(error) => Err(error),
            None => {
                stream.recv.waiting = true;
                Ok(None)
            }
        }
    }

    /// Whether a body that was held back may be sent now (gateway). `Ok(false)`: an event will tell.
    ///
    /// # Errors
    /// [`StreamError`] if the body is not wanted any more.
    pub fn is_invited(&mut self, id: StreamId) -> Result<bool, StreamError> {
        let stream = self.stream(id);
        if let Some(error) = stream.send.error() {
            return Err(error);
        }
        if !stream.invited && !matches!(stream.head, Head::Asked) {
            // The final answer came instead.
            return Err(StreamError::Reset { code: ResetCode::Complete, message: String::new() });
        }
        stream.send.watching = !stream.invited;
        Ok(stream.invited)
    }

    /// Sends an informational answer, not 101 (agent). More than [`INTERIMS`] of them are not passed on: the gateway
    /// would reset the stream.
    pub fn inform(&mut self, id: StreamId, status: StatusCode) {
        let stream = self.stream(id);
        assert!(matches!(stream.head, Head::Asked), "informational answers come before the final one");
        if !stream.send.is_closed() && stream.interims < INTERIMS {
            stream.interims += 1;
            self.control.push_back(Frame::Interim { id, status, headers: HeaderMap::new() });
        }
    }

    /// Sends the answer's head (agent). `end`: it has no body. Once a stream. Behind a 101 the end of one half is not
    /// the end of the other.
    pub fn respond(&mut self, id: StreamId, head: ResponseHead, end: bool) {
        self.stream(id).upgraded = head.status == StatusCode::SWITCHING_PROTOCOLS;
        if self.begin_answer(id) {
            self.control.push_back(Frame::Response { id, head, end });
            if end {
                self.end_answer(id);
            }
        }
    }

    /// Answers with a failure instead (agent).
    pub fn fail(&mut self, id: StreamId, failure: Failure) {
        if self.begin_answer(id) {
            self.control.push_back(Frame::Failure { id, failure });
            self.end_answer(id);
        }
    }

    fn begin_answer(&mut self, id: StreamId) -> bool {
        let stream = self.stream(id);
        assert!(matches!(stream.head, Head::Asked), "a stream is answered once");
        stream.head = Head::Answered;
        stream.deadline = None;
        !stream.send.is_closed()
    }

    fn end_answer(&mut self, id: StreamId) {
        self.stream(id).send.end();
        self.complete_early(id);
    }

    /// Writes from the front of `data` as much as there is room for: at most one chunk. `Ok(false)`: an event will
    /// tell when there is room.
    ///
    /// # Errors
    /// [`StreamError`] if the peer wants no more of this half.
    pub fn write(&mut self, id: StreamId, data: &mut Bytes) -> Result<bool, StreamError> {
        let room = self.stream(id).send.write(data)?;
        if room {
            self.schedule(id);
        }
        Ok(room)
    }

    /// Ends this side's half behind what was written, with trailers or without.
    pub fn finish(&mut self, id: StreamId, trailers: Option<HeaderMap>) {
        self.stream(id).send.finish(trailers);
        self.schedule(id);
    }

    /// Whether there is nothing to read, now or later.
    pub fn is_bodiless(&mut self, id: StreamId) -> bool {
        self.stream(id).recv.is_drained()
    }

    /// Why this half should be written no further, if there is a reason. If there is none, an event tells when there
    /// is.
    pub fn stopped(&mut self, id: StreamId) -> Option<Stopped> {
        let now = self.now;
        let stream = self.stream(id);
        let stopped = match stream.send.error() {
            Some(error) => Some(Stopped::Unwanted(error)),
            None => stream.is_overdue(now).then_some(Stopped::Overdue),
        };
        stream.send.watching = stopped.is_none();
        stopped
    }

    /// Sets when [`Session::stopped`] is to say that the stream is overdue, not before and up to half a second late;
    /// `None` for never. It replaces what was set before.
    pub fn set_deadline(&mut self, id: StreamId, after: Option<Duration>) {
        let now = self.now;
        self.stream(id).deadline = after.map(Deadline::After);
        if after.is_some() {
            self.deadlines.watch(now);
        }
    }

    /// Reads the next bytes.
    ///
    /// # Errors
    /// [`StreamError`] if the half was cut short; everything that came before was read.
    pub fn read(&mut self, id: StreamId) -> Result<Read, StreamError> {
        let read = self.stream(id).recv.read()?;
        self.return_credit(id);
        Ok(read)
    }

    /// Abandons the stream and tells the peer, unless it has not heard of it.
    pub fn reset(&mut self, id: StreamId, code: ResetCode, message: &str) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if stream.is_over() {
            return;
        }
        // A request that no byte was sent of is forgotten: its head is skipped when its turn comes.
        if id <= self.last_sent {
            if self.side == Side::Gateway {
                self.cancels.spend(self.now);
            }
            self.control.push_back(Frame::Reset { id, code, message: message.to_owned() });
        }
        self.abandon(id, &StreamError::Reset { code, message: message.to_owned() });
    }

    /// The application reads no more of the stream. The gateway thereby abandons an answer that is not complete, and
    /// the agent an upgraded stream; else the agent answers on and discards the rest of the request.
    pub fn release_reader(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.reader = false;
        stream.recv.discard();
        match self.side {
            Side::Gateway if stream.recv.is_open() => self.reset(id, ResetCode::Cancelled, ""),
            Side::Agent if stream.recv.is_open() && stream.upgraded => self.reset(id, ResetCode::Aborted, ""),
            _ => self.return_credit(id),
        }
        self.wake(id);
    }

    /// The application writes no more. If it has not finished, the half was cut short, and so is the stream.
    pub fn release_writer(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.writer = false;
        if !stream.send.is_closed() && !stream.send.is_finished() {
            let unanswered = self.side == Side::Agent && matches!(stream.head, Head::Asked);
            let code = if unanswered { ResetCode::Internal } else { ResetCode::Aborted };
            self.reset(id, code, "");
        }
        self.wake(id);
    }

    /// Announces a new set of services (agent).
    pub fn announce(&mut self, services: Vec<ServiceName>) {
        // Of sets that wait to be sent only the newest matters.
        self.control.retain(|frame| !matches!(frame, Frame::Services(_)));
        self.control.push_back(Frame::Services(services));
    }

    /// Shows a fresh credential (agent).
    pub fn renew(&mut self, credential: Credential) {
        self.control.retain(|frame| !matches!(frame, Frame::Renew(_)));
        self.control.push_back(Frame::Renew(credential));
    }

    /// Opens no new streams from now on (gateway), or asks for no more (agent): those that cross with that are still
    /// taken. What is in flight finishes; see [`Session::is_drained`].
    pub fn drain(&mut self, reason: &str) {
        if std::mem::replace(&mut self.going_away, true) {
            return;
        }
        let last_id = match self.side {
            Side::Gateway => self.last_id,
            Side::Agent => StreamId(u32::MAX),
        };
        self.control.push_back(Frame::GoAway { last_id, reason: reason.to_owned() });
        if self.side == Side::Agent && self.streams.is_empty() {
            // Nothing else shows whether there is still somebody to answer.
            self.doubt();
        }
    }

    /// There is a reason to think that the peer is dead: it is asked at once, and has half a heartbeat to show that it
    /// is not.
    pub fn doubt(&mut self) {
        self.heartbeat.doubt();
        self.is_doubt_news = true;
    }

    fn stream(&mut self, id: StreamId) -> &mut Stream {
        self.streams.get_mut(&id).expect("a stream stays until both its handles are released")
    }

    pub(super) fn return_credit(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if !stream.recv.is_credit_due() {
            return;
        }
        stream.recv.lend(self.limits.max_window, &mut self.growth, self.heartbeat.rtt(), self.now);
        if !std::mem::replace(&mut stream.window_queued, true) {
            self.windows.push_back(id);
        }
    }

    /// The agent's half is complete: if the gateway's is not, nobody wants the rest of it.
    pub(super) fn complete_early(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id)
            && self.side == Side::Agent
            && !stream.upgraded
            && stream.send.is_closed()
            && stream.recv.is_open()
        {
            self.control.push_back(Frame::Reset { id, code: ResetCode::Complete, message: String::new() });
            let error = StreamError::Reset { code: ResetCode::Complete, message: String::new() };
            self.abandon(id, &error);
        }
        self.wake(id);
    }
}
