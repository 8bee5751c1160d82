//! What went wrong and what to do next, in words for the person at the terminal.

use std::fmt::{self, Display, Formatter};

/// A failure, told as what happened and what to do about it.
#[derive(Debug)]
pub struct Error {
    what: String,
    next: Option<String>,
}

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// What happened.
    pub fn new(what: impl Display) -> Self {
        Self { what: what.to_string(), next: None }
    }

    /// What to do next.
    pub fn next(mut self, advice: impl Display) -> Self {
        self.next = Some(advice.to_string());
        self
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        match &self.next {
            Some(advice) => write!(f, "\nnext: {advice}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// Says what was being done when something failed.
pub trait Doing<T> {
    /// Puts `what` in front of the cause.
    fn doing(self, what: impl Display) -> Result<T>;
}

impl<T, E: Display> Doing<T> for std::result::Result<T, E> {
    fn doing(self, what: impl Display) -> Result<T> {
        self.map_err(|cause| Error::new(format!("{what}: {cause}")))
    }
}
