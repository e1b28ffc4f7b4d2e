//! Requests that are refused because they cannot be read in one way only.

use http::{Response, StatusCode};
use proto::wire::{Failure, FailureCode};

use super::request_id;
use crate::failure::{self, Asked};

/// RFC 9112 §6.1 leaves the choice to refuse such a request or to go by its chunks: what one reader takes for a body is
/// the next request to another.
pub(super) fn refuse_doubt(in_doubt: bool) -> Result<(), Failure> {
    let why = "the request's end is in doubt: it has both Content-Length and Transfer-Encoding (send one of them), or came \
               behind a body that was still under way (await the answer first)";
    if in_doubt { Err(Failure::new(FailureCode::BadRequest, why)) } else { Ok(()) }
}

/// The answer to what the HTTP library could not read.
pub(crate) fn refuse(status: StatusCode, why: &str) -> Response<String> {
    let failure = match status {
        StatusCode::URI_TOO_LONG => Failure::new(FailureCode::UriTooLong, "the request's target is too long"),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            Failure::new(FailureCode::HeadTooLarge, "the request's headers are too many or too long")
        }
        _ => Failure::new(FailureCode::BadRequest, format!("the request is not HTTP/1.1 as RFC 9112 has it: {why}")),
    };
    failure::text_response(&failure.into(), &Asked::unreadable(request_id::make()))
}
