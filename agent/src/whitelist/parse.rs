//! The path of a rule, from text. What no request could ever match is refused here, so that no rule is silently dead.

use super::{
    denied::Reason,
    glob::Glob,
    limits::{INNER_PIECE_BYTES, INNER_WILDCARDS, RULE_SEGMENTS},
    pattern::{End, PathPattern, Pattern, Segment},
    rule::{Part, RuleError},
    segment,
};

/// Parses a path, which stands at `at` in the rule.
pub(super) fn pattern(path: &str, at: usize) -> Result<Pattern, RuleError> {
    if path == "*" {
        return Ok(Pattern::Asterisk);
    }
    let Some(body) = path.strip_prefix('/') else {
        return Err(not_a_path(path, at));
    };
    refuse_bytes(path, at)?;
    let mut at = at + 1;
    let mut segments = Vec::new();
    let mut end = End::Exact;
    let mut rest = body.split('/').peekable();
    while let Some(text) = rest.next() {
        let is_last = rest.peek().is_none();
        match text {
            "" if is_last => end = End::Slash,
            "" => return error(at, "`//` never passes: remove one slash"),
            _ if is_rest(text) && is_last => end = End::Rest,
            _ if is_rest(text) => {
                return error(at, format!("`{text}` can only be the last segment: it takes everything that follows"));
            }
            _ if segments.len() == RULE_SEGMENTS => {
                return error(at, format!("a rule has at most {RULE_SEGMENTS} segments; `**` takes any number more"));
            }
            _ => segments.push(parse_segment(text, at)?),
        }
        let inner: usize = segments.iter().map(Segment::inner_wildcards).sum();
        if inner > INNER_WILDCARDS {
            return error(at, format!("a path has at most {INNER_WILDCARDS} wildcards within segments"));
        }
        at += text.len() + 1;
    }
    Ok(Pattern::Path(PathPattern { segments: segments.into(), end }))
}

fn error<T>(at: usize, message: impl Into<String>) -> Result<T, RuleError> {
    Err(RuleError { message: message.into(), part: Part::Path, offset: at })
}

fn not_a_path(path: &str, at: usize) -> RuleError {
    let message = if path.contains("://") {
        "write only the path: where the service is stands in `upstream`"
    } else {
        "a path begins with '/'"
    };
    RuleError { message: message.to_owned(), part: Part::Path, offset: at }
}

/// What has no place in a path pattern at all. Inside braces the name is judged with its segment.
fn refuse_bytes(path: &str, at: usize) -> Result<(), RuleError> {
    for (offset, character) in path.char_indices() {
        let message = match character {
            '?' => "this is about the path alone; use the long form with `query` for conditions".to_owned(),
            '#' => "a fragment is never sent to a server".to_owned(),
            ';' => "requests with ';' are refused unless a rule in the long form says `matrix: true`".to_owned(),
            '\\' => "a backslash never passes".to_owned(),
            ' ' => "write a space in a path as %20".to_owned(),
            '"' | '<' | '>' | '[' | ']' | '^' | '`' | '|' => format!(
                "{character:?} is not a path character, and there are no regular expressions; write the character \
                 itself as %{:02X}",
                u32::from(character)
            ),
            _ if character.is_control() => "a control character never passes".to_owned(),
            _ => continue,
        };
        return error(at + offset, message);
    }
    Ok(())
}

/// `**` or `{*name}`.
fn is_rest(text: &str) -> bool {
    let name = text.strip_prefix("{*").and_then(|rest| rest.strip_suffix('}'));
    text == "**" || name.is_some_and(is_parameter_name)
}

fn is_parameter_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '$'))
}

fn parse_segment(text: &str, at: usize) -> Result<Segment, RuleError> {
    let mut pieces = Vec::new();
    let mut literal_at = 0;
    while let Some(found) = text[literal_at..].find(['*', '{', '}']) {
        let star_at = literal_at + found;
        if star_at == literal_at && !pieces.is_empty() {
            return error(at + star_at, "two wildcards side by side: `**` stands alone, as the last segment");
        }
        pieces.push(literal(&text[literal_at..star_at], at + literal_at)?);
        literal_at = star_at + wildcard(&text[star_at..], at + star_at)?;
    }
    pieces.push(literal(&text[literal_at..], at + literal_at)?);
    match &*pieces {
        [whole] if segment::is_dots(whole) => error(at, never_matches(Reason::DotSegment)),
        [whole] => Ok(Segment::Literal(whole.as_str().into())),
        [first, last] if first.is_empty() && last.is_empty() => Ok(Segment::Any),
        [_, middle @ .., _] if middle.iter().any(|piece| piece.len() > INNER_PIECE_BYTES) => {
            let message = format!("between two wildcards of a segment stand at most {INNER_PIECE_BYTES} bytes");
            error(at, message)
        }
        [first, middle @ .., last] => Ok(Segment::Glob(Glob::new(first, middle, last))),
        [] => error(at, "a segment is empty"),
    }
}

/// How long the wildcard is that `text` begins with: `*` or `{name}`.
fn wildcard(text: &str, at: usize) -> Result<usize, RuleError> {
    if text.starts_with('*') {
        return Ok(1);
    }
    let Some(name) = text.strip_prefix('{') else {
        return error(at, "a '}' without its '{': write the character itself as %7D");
    };
    let Some((name, _)) = name.split_once('}') else {
        return error(at, "a '{' without its '}': write the character itself as %7B");
    };
    if name.starts_with('*') {
        return error(at, "`{*name}` stands alone, as the last segment");
    }
    if !is_parameter_name(name) {
        let message =
            format!("{name:?} is not a parameter name: letters, digits, '_', '-', '.' and '$', as in `{{id}}`");
        return error(at + 1, message);
    }
    Ok(name.len() + 2)
}

/// Decodes a literal, written raw or percent-encoded, once, as a request is decoded.
fn literal(text: &str, at: usize) -> Result<String, RuleError> {
    let bytes = text.as_bytes();
    let bad = (0..bytes.len()).find(|&i| bytes[i] == b'%' && segment::triplet(&bytes[i..]).is_none());
    if let Some(bad) = bad {
        return error(at + bad, "'%' must be followed by two hex digits; the character itself is written %25");
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let encoded = segment::decode(bytes, &mut decoded);
    let Ok(decoded) = String::from_utf8(decoded) else {
        return error(at, never_matches(Reason::InvalidUtf8));
    };
    let judged = match encoded {
        segment::Encoded { slash: true, .. } => Err(Reason::EncodedSlash),
        segment::Encoded { semicolon: true, .. } => Err(Reason::EncodedSemicolon),
        _ => segment::judge_characters(&decoded),
    };
    match judged {
        Ok(()) => Ok(decoded),
        Err(reason) => error(at, never_matches(reason)),
    }
}

fn never_matches(reason: Reason) -> String {
    format!("this can never match, because such requests are always refused: {reason}")
}
