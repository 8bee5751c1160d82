//! What goes wrong in a run: at which request, and how.

use std::time::Duration;

use jiff::SignedDuration;

use crate::flaw::Flaw;

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

/// A trouble, and which requests meet it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// A part of the request's description: `POST stripe`, `PATCH /api/v1`, or empty for all.
    pub what: String,
    /// How many of these requests pass before.
    pub after: usize,
    /// How many then meet it.
    pub times: usize,
    pub trouble: Trouble,
}

/// How watches go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// Events come so much later than what they tell of.
    Late(Duration),
    /// The connection ends after each event.
    Torn,
    /// After each event the server has forgotten the version that the next would follow.
    Expired,
}

/// One of several replicas whose requests stand still for a while: what it had sent before the others took over arrives
/// when they have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// From its so-manieth request on.
    pub from: usize,
    pub lasts: Duration,
}

/// The troubles of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Troubles {
    pub rules: Vec<Rule>,
    /// What is wrong with watches of paths that contain the text.
    pub views: Vec<(String, View)>,
    /// What happens to the first replica.
    pub freeze: Option<Freeze>,
    /// How far the operator's clock is ahead of everybody else's.
    pub ahead: SignedDuration,
    /// How far that of a second replica is, where there is one.
    pub standby: Option<SignedDuration>,
    /// A bug of the operator.
    pub flaw: Option<Flaw>,
}

impl Rule {
    /// How many requests to place an ACME order are carried out while nobody learns the order's address: no CA says it
    /// again, so each is an order more (<https://www.rfc-editor.org/rfc/rfc8555#section-7.4>).
    pub fn lost_orders(&self) -> usize {
        let anything = self.what.is_empty();
        let loses = match self.trouble {
            Trouble::Answer { .. } | Trouble::Hangup { done: false } | Trouble::Silence { done: false } => false,
            Trouble::Late(_) => false,
            // It may die before the order's address is stored.
            Trouble::CrashBefore => anything,
            _ => anything || self.what == "POST ca /order",
        };
        if loses { self.times } else { 0 }
    }
}

impl Troubles {
    /// A trouble of one request: the first that fits after so many.
    pub fn one(what: &str, after: usize, trouble: Trouble) -> Troubles {
        Troubles::of(Rule { what: what.into(), after, times: 1, trouble })
    }

    /// The trouble of a rule.
    pub fn of(rule: Rule) -> Troubles {
        Troubles { rules: vec![rule], ..Troubles::default() }
    }

    /// What is wrong with a watch.
    pub fn view(&self, path: &str) -> Option<View> {
        self.views.iter().find(|(what, _)| path.contains(what)).map(|(_, view)| *view)
    }

    /// How many operators there are.
    pub fn replicas(&self) -> usize {
        if self.freeze.is_some() || self.standby.is_some() { 2 } else { 1 }
    }

    /// How far a replica's clock is ahead.
    pub fn ahead_of(&self, replica: usize) -> SignedDuration {
        self.standby.filter(|_| replica > 0).unwrap_or(self.ahead)
    }

    /// The trouble that a request meets.
    pub fn meet(&mut self, what: &str) -> Option<Trouble> {
        for rule in self.rules.iter_mut().filter(|rule| rule.times > 0 && what.contains(&rule.what)) {
            if rule.after > 0 {
                rule.after -= 1;
                continue;
            }
            rule.times -= 1;
            return Some(rule.trouble.clone());
        }
        None
    }
}
