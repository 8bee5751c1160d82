//! Blocks of the spec that golive accepts and does not act on yet: said, never silently ignored.

use super::{Ask, Part, Verdict};
use crate::fault::Hold;

/// The refusal for a field.
pub fn hold(field: &str) -> Hold {
    Hold::person(
        "NotSupported",
        format!(
            "`spec.{field}` is part of the API, but this version of golive does not act on it: remove it, or wait for a version that does"
        ),
    )
}

/// Refuses a whole block, where it is in use.
pub fn plan(ask: Ask<'_>, part: Part) -> Option<Verdict> {
    let spec = &ask.saas.spec;
    let used = match part {
        Part::Cache => spec.cache.is_some(),
        Part::Workers => !spec.workers.is_empty(),
        Part::Mail => spec.mail.is_some(),
        Part::Gates => spec.gates.is_some(),
        _ => false,
    };
    used.then(|| Err(hold(part.word())))
}
