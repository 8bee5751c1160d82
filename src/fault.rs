//! What can go wrong outside (`Fault`) and why a part waits inside (`Hold`). Both say what to do next.

use std::time::Duration;

/// What was seen, or why it could not be seen.
pub type Seen<T> = Result<T, Fault>;

/// An answer from outside that is not the wished one. The variant says when to try again, the text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Our credential is refused: nothing changes until it does.
    #[error("{0}")]
    Denied(String),
    /// The request is refused as such: nothing changes until the spec does.
    #[error("{0}")]
    Rejected(String),
    /// The API server does not allow it: quota, admission, a namespace that is going, a right that is missing.
    #[error("{0}")]
    Forbidden(String),
    /// Too many requests: again after the stated time.
    #[error("{message}")]
    Throttled {
        /// Who throttles, and what was asked.
        message: String,
        /// How long the other side asks us to wait.
        after: Duration,
    },
    /// Nobody answered, or the answer was no answer: back off and try again.
    #[error("{0}")]
    Unreachable(String),
    /// Somebody else changed the object since it was read, and nothing was written: look again and repeat it.
    #[error("{0}")]
    Outrun(String),
    /// The request was sent and its outcome is unknown: look again before repeating it.
    #[error("{0}")]
    Lost(String),
}

impl Fault {
    /// The reason of the condition that this fault becomes.
    pub fn reason(&self) -> &'static str {
        match self {
            Fault::Denied(_) => "CredentialDenied",
            Fault::Rejected(_) | Fault::Forbidden(_) => "Rejected",
            Fault::Throttled { .. } => "Throttled",
            Fault::Unreachable(_) => "Unreachable",
            Fault::Outrun(_) => "Conflict",
            Fault::Lost(_) => "OutcomeUnknown",
        }
    }

    /// Whether a write that came to this says something of the rows: one that a throttle or a gate kept back does not.
    pub fn may_have_changed(&self) -> bool {
        !matches!(self, Fault::Throttled { .. } | Fault::Denied(_))
    }

    /// The same told of another account, which uses the same credential. Texts name accounts in backquotes.
    pub fn retold(self, from: &str, to: &str) -> Fault {
        let tell = |text: String| text.replace(&format!("`{from}`"), &format!("`{to}`"));
        match self {
            Fault::Denied(text) => Fault::Denied(tell(text)),
            Fault::Rejected(text) => Fault::Rejected(tell(text)),
            Fault::Forbidden(text) => Fault::Forbidden(tell(text)),
            Fault::Throttled { message, after } => Fault::Throttled { message: tell(message), after },
            Fault::Unreachable(text) => Fault::Unreachable(tell(text)),
            Fault::Outrun(text) => Fault::Outrun(tell(text)),
            Fault::Lost(text) => Fault::Lost(tell(text)),
        }
    }

    /// How long to wait before looking again.
    pub fn again(&self) -> Duration {
        match self {
            Fault::Denied(_) | Fault::Rejected(_) | Fault::Forbidden(_) => Duration::from_secs(300),
            Fault::Throttled { after, .. } => *after,
            Fault::Unreachable(_) => Duration::from_secs(15),
            Fault::Outrun(_) | Fault::Lost(_) => Duration::from_secs(2),
        }
    }
}

/// How the message of a wait ends that needs nobody.
pub const BY_ITSELF: &str = "; golive tries again by itself";

/// Why a part waits, in words for its condition, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// A stable CamelCase word for the condition's reason.
    pub reason: &'static str,
    /// What is missing, of what, and what happens or is to be done next.
    pub message: String,
    /// What ends the wait.
    pub until: Until,
}

/// What ends a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Something that we watch changes.
    Event,
    /// Time passes.
    After(Duration),
    /// A person changes the spec, a Secret or an account: the object is stalled.
    Person,
}

impl Hold {
    /// A wait that ends by something that is watched.
    pub fn event(reason: &'static str, message: impl Into<String>) -> Self {
        Hold { reason, message: message.into(), until: Until::Event }
    }

    /// A wait for a length of time.
    pub fn after(reason: &'static str, wait: Duration, message: impl Into<String>) -> Self {
        Hold { reason, message: message.into(), until: Until::After(wait) }
    }

    /// A wait for a person's decision or correction.
    pub fn person(reason: &'static str, message: impl Into<String>) -> Self {
        Hold { reason, message: message.into(), until: Until::Person }
    }
}

impl From<Fault> for Hold {
    fn from(fault: Fault) -> Self {
        let (until, message) = match &fault {
            Fault::Denied(_) | Fault::Rejected(_) | Fault::Forbidden(_) => (Until::Person, fault.to_string()),
            // No number: a message that changed with each pass would be a write with each pass.
            other => (Until::After(other.again()), format!("{other}{BY_ITSELF}")),
        };
        Hold { reason: fault.reason(), message, until }
    }
}

impl From<&Fault> for Hold {
    fn from(fault: &Fault) -> Self {
        fault.clone().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_by_itself_says_so_and_what_does_not_waits_for_a_person() {
        let hold = |fault: Fault| Hold::from(fault);
        for fault in [
            Fault::Unreachable("x".into()),
            Fault::Lost("x".into()),
            Fault::Outrun("x".into()),
            Fault::Throttled { message: "x".into(), after: Duration::from_secs(7) },
        ] {
            assert_eq!(hold(fault.clone()).message, "x; golive tries again by itself");
            assert_eq!(hold(fault.clone()).until, Until::After(fault.again()));
        }
        assert_eq!(
            hold(Fault::Denied("x".into())),
            Hold { reason: "CredentialDenied", message: "x".into(), until: Until::Person }
        );
    }
}
