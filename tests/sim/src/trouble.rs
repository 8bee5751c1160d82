//! What goes wrong in a run: at which request, and how.

use std::collections::BTreeMap;
use std::time::Duration;

/// How a request goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The operator dies before it is sent.
    CrashBefore,
    /// It is carried out, and the operator dies before the answer.
    CrashAfter,
    /// The answer is this, and nothing is done.
    Answer { status: u16, body: &'static str, retry_after: Option<u64> },
    /// The work is done, and the answer is this.
    AnswerAfter { status: u16, body: &'static str },
    /// The connection ends without an answer; the work is done or not.
    Hangup { done: bool },
    /// No answer ever comes; the work is done or not.
    Silence { done: bool },
    /// The work is done, the answer comes late.
    Late(Duration),
    /// The work is done, the answer's body is cut in the middle.
    Cut,
    /// The work is done, the answer is no JSON.
    Garbage,
    /// The work is done, the answer is an empty object.
    Hollow,
}

/// The troubles of a run, by the number of the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Troubles(pub BTreeMap<usize, Trouble>);

impl Troubles {
    /// One trouble.
    pub fn one(at: usize, trouble: Trouble) -> Troubles {
        Troubles(BTreeMap::from([(at, trouble)]))
    }
}
