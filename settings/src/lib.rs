//! Configuration text: how it is read, how what is wrong in it is shown, and the values that both sides share.
//!
//! The gateway and the agent each own what their keys mean; neither sees the other. What they have in common is only
//! this: text from a file or from flags becomes raw structs of [`At`] values that know where they were written
//! ([`yaml`], [`source`]); a [`Findings`] collects everything wrong with them, so that one run shows it all;
//! [`units`], [`net`], [`Limits`] and [`Token`] are the values spelt alike on both sides; and [`guard`] keeps browsers
//! off the `admin` listeners of both.

pub mod file;
pub mod guard;
pub mod limits;
pub mod net;
pub mod pem;
pub mod report;
#[cfg(feature = "scratch")]
pub mod scratch;
pub mod secret;
mod shapes;
pub mod source;
pub mod token;
pub mod units;
pub mod yaml;

pub use limits::Limits;
pub use report::{Fault, Findings, Invalid};
pub use shapes::{Entries, Keys, TextOr};
pub use source::{At, CommandLine, Place, Source, Text};
pub use token::Token;
