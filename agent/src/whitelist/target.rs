//! The request target: refused or taken apart, never repaired ("Refuse, never repair").

use http::Method;

use super::{
    denied::{Denied, Reason},
    limits::TARGET_BYTES,
    query, segment,
    text::Text,
};

/// A target that passed steps 1 to 6.
#[derive(Debug)]
pub(super) enum Target<'a> {
    /// `*`, which only `OPTIONS` may ask for (RFC 9112 §3.2.4).
    Asterisk,
    /// A path, with or without a query.
    Path(Path<'a>),
}

/// A judged path.
#[derive(Debug)]
pub(super) struct Path<'a> {
    /// The non-empty segments, decoded once and without their `;params`. One that held a `%2F` holds a `/`.
    pub(super) segments: Vec<Text<'a>>,
    /// Whether the path ends with `/`. That of the root does.
    pub(super) trailing_slash: bool,
    /// What stands behind the first `?`, still encoded.
    pub(super) query: Option<&'a [u8]>,
    /// Where the first raw `;` stands in the target. Only a rule that says `matrix` matches such a path.
    pub(super) parameters: Option<usize>,
    /// Where the first segment with a `%2F` begins in the target. Only a rule that says `encoded_slash` matches it.
    pub(super) encoded_slash: Option<usize>,
    /// The number of the last segment with a `%2F`.
    pub(super) last_slashed: Option<usize>,
}

impl<'a> Target<'a> {
    /// Judges the raw bytes, step by step. Only a path with a `%` needs the scratch, to be decoded into.
    pub(super) fn judge(raw: &'a [u8], method: &Method, scratch: &'a mut String) -> Result<Self, Denied> {
        if raw == b"*" && *method == Method::OPTIONS {
            return Ok(Self::Asterisk);
        }
        if raw.first() != Some(&b'/') {
            return Err(Denied::at(Reason::NotOriginForm, 0));
        }
        let (path, query) = match raw.iter().position(|&byte| byte == b'?') {
            Some(mark) => (&raw[..mark], Some(&raw[mark + 1..])),
            None => (raw, None),
        };
        judge_bytes(path, query.unwrap_or_default())?;
        Path::judge(path, query, scratch).map(Self::Path)
    }

    /// Step 7, if no rule permits what the target holds.
    pub(super) fn refuse_ambiguous(&self) -> Result<(), Denied> {
        let Self::Path(path) = self else { return Ok(()) };
        match (path.parameters, path.encoded_slash) {
            (Some(at), _) => Err(Denied::at(Reason::Parameters, at)),
            (None, Some(at)) => Err(Denied::at(Reason::EncodedSlash, at)),
            (None, None) => Ok(()),
        }
    }

    /// Step 8.
    pub(super) fn refuse_override(&self, method: &Method) -> Result<(), Denied> {
        let Self::Path(Path { query: Some(query), .. }) = self else { return Ok(()) };
        if !query::is_exempt(method) && query::overrides_method(query) {
            return Err(Denied::new(Reason::MethodOverride));
        }
        Ok(())
    }
}

/// Step 9, for the target.
pub(super) fn refuse_long(raw: &[u8]) -> Result<(), Denied> {
    if raw.len() > TARGET_BYTES { Err(Denied::new(Reason::TargetTooLong)) } else { Ok(()) }
}

/// Steps 2 and 3. What they leave is ASCII.
fn judge_bytes(path: &[u8], query: &[u8]) -> Result<(), Denied> {
    let mut bad_triplet = None;
    for (at, &byte) in path.iter().enumerate() {
        if !PATH_BYTES[usize::from(byte)] {
            return Err(Denied::at(Reason::PathByte, at));
        }
        if byte == b'%' && bad_triplet.is_none() && segment::triplet(&path[at..]).is_none() {
            bad_triplet = Some(at);
        }
    }
    if let Some(at) = query.iter().position(|&byte| !QUERY_BYTES[usize::from(byte)]) {
        return Err(Denied::at(Reason::QueryByte, path.len() + 1 + at));
    }
    bad_triplet.map_or(Ok(()), |at| Err(Denied::at(Reason::BadTriplet, at)))
}

/// RFC 3986 §3.3: pchar and `/`, with the `%` that begins a triplet.
const PATH_BYTES: [bool; 256] = table(b"-._~!$&'()*+,;=:@/%");

/// Every visible ASCII byte but `# " < >`: more than RFC 3986 §3.4 allows, because browsers and clients send more.
const QUERY_BYTES: [bool; 256] = table(b"!$%&'()*+,-./:;=?@[\\]^_`{|}~");

const fn table(punctuation: &[u8]) -> [bool; 256] {
    let mut allowed = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        allowed[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut index = 0;
    while index < punctuation.len() {
        allowed[punctuation[index] as usize] = true;
        index += 1;
    }
    allowed
}

impl<'a> Path<'a> {
    /// Steps 4 to 6, each over the whole path, so that the lowest one refuses; and what of step 7 no rule can permit.
    fn judge(raw: &'a [u8], query: Option<&'a [u8]>, scratch: &'a mut String) -> Result<Self, Denied> {
        let raw = std::str::from_utf8(raw).map_err(|_| Denied::new(Reason::PathByte))?;
        let body = &raw[1..];
        let mut encoded_slash = None;
        let mut segments = Vec::with_capacity(raw.bytes().filter(|&byte| byte == b'/').count());
        if raw.contains('%') {
            let decoded = decode_segments(body, scratch, &mut encoded_slash)?;
            let mut rest: &'a str = scratch;
            for (length, slashed) in decoded {
                let (segment, behind) = rest.split_at(length);
                segments.push(Text::new(segment).with_slash(slashed));
                rest = behind;
            }
        } else {
            segments.extend(body.split('/').map(Text::new));
        }
        if let Some(index) = segments.iter().position(|segment| segment::is_dots(segment.as_str())) {
            return Err(Denied::at(Reason::DotSegment, offset_of(body, index)));
        }
        // The empty segment behind a trailing slash is the only one that nobody can misread.
        let trailing_slash = segments.pop_if(|last| last.as_str().is_empty()).is_some();
        if let Some(index) = segments.iter().position(|segment| segment.as_str().is_empty()) {
            return Err(Denied::at(Reason::EmptySegment, offset_of(body, index)));
        }
        let last_slashed = encoded_slash.and_then(|_| segments.iter().rposition(Text::is_slashed));
        let path = Self { segments, trailing_slash, query, parameters: raw.find(';'), encoded_slash, last_slashed };
        if path.parameters.or(encoded_slash).is_none() { Ok(path) } else { path.named(body) }
    }

    /// What a rule may permit by `matrix` or `encoded_slash` is matched by the names alone. A name that is not there
    /// is permitted by none.
    fn named(mut self, body: &str) -> Result<Self, Denied> {
        for (index, segment) in self.segments.iter_mut().enumerate() {
            let text = segment.as_str();
            if segment.is_slashed() && !segment::has_good_pieces(text) {
                return Err(Denied::at(Reason::EncodedSlashes, offset_of(body, index)));
            }
            if segment::name(text).is_empty() {
                return Err(Denied::at(Reason::NamelessParameters, offset_of(body, index)));
            }
            *segment = Text::new(segment::name(text)).with_slash(segment.is_slashed());
        }
        Ok(self)
    }
}

/// Step 4: decodes all segments in a row, and gives the length of each and whether it held a `%2F`. Notes where the
/// first of those begins.
fn decode_segments(
    body: &str,
    decoded: &mut String,
    slash_at: &mut Option<usize>,
) -> Result<Vec<(usize, bool)>, Denied> {
    let mut lengths = Vec::new();
    let mut bytes = Vec::new();
    let mut at = 1;
    for raw in body.split('/') {
        bytes.clear();
        let encoded = segment::decode(raw.as_bytes(), &mut bytes);
        let text = judge_decoded(&bytes, encoded, raw).map_err(|reason| Denied::at(reason, at))?;
        if encoded.slash && slash_at.is_none() {
            *slash_at = Some(at);
        }
        decoded.push_str(text);
        lengths.push((text.len(), encoded.slash));
        at += raw.len() + 1;
    }
    Ok(lengths)
}

fn judge_decoded<'b>(bytes: &'b [u8], encoded: segment::Encoded, raw: &str) -> Result<&'b str, Reason> {
    let text = std::str::from_utf8(bytes).map_err(|_| Reason::InvalidUtf8)?;
    if encoded.semicolon {
        return Err(Reason::EncodedSemicolon);
    }
    // A segment without a `%` holds path bytes alone, and none of those is refused by step 4.
    if text.len() < raw.len() {
        segment::judge_characters(text)?;
    }
    Ok(text)
}

/// Where in the target a segment begins.
fn offset_of(body: &str, index: usize) -> usize {
    body.split('/').take(index).map(|segment| segment.len() + 1).sum::<usize>() + 1
}
