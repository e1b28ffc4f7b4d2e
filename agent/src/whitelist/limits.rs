//! Every bound of the whitelist, each with its reason.

/// Longest request target, in bytes: what common servers take in a request line. Past it: 414.
pub const TARGET_BYTES: usize = 8192;

/// Most header lines in one request: what common servers take. Past it: 431.
pub const HEADER_LINES: usize = 100;

/// Most bytes of header names and values in one request; see [`HEADER_LINES`].
pub const HEADER_BYTES: usize = 64 * 1024;

/// Most fields that `Connection` may name. No head has more lines to name, and each name is compared with each line.
pub const NOMINATED: usize = HEADER_LINES;

/// Longest text of a rule, in bytes. A longer literal could match no target.
pub const RULE_BYTES: usize = TARGET_BYTES;

/// Most segments in the path of a rule; a request's path can have more, behind a `**`. No API is as deep.
pub const RULE_SEGMENTS: usize = 64;

/// Most wildcards of a rule that stand within segments, as in `a*b*c`; and the longest piece between two of them, in
/// bytes. Such a piece is searched for in the request's segment, which may be all of the target; with these bounds a
/// list of a hundred rules is asked in about a tenth of a millisecond, whatever the request.
pub const INNER_WILDCARDS: usize = 8;
/// See [`INNER_WILDCARDS`].
pub const INNER_PIECE_BYTES: usize = 20;

/// Most parameters that one rule's `query` may name: as many as fit one word of marks. Whoever needs more has a form,
/// not a query.
pub const PARAMETERS: usize = 64;

/// Most characters of a piece of a request that a refusal or an explanation repeats to people.
pub(super) const EXCERPT_CHARS: usize = 64;
