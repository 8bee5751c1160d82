//! What restic's exit codes and texts mean. Releases before 0.17 end with 1 for everything
//! (<https://restic.readthedocs.io/en/stable/075_scripting.html#exit-codes>), so the texts are read as well.

use std::fmt::Display;

use super::budget::LATE;
use crate::evidence::{Failure, Limits, Target};

/// There is no repository at the address.
pub const MISSING: &str = "RepositoryMissing";

/// Another job holds the repository's lock.
pub const LOCKED: &str = "RepositoryLocked";

/// One reading: the reason, the texts that show it, and what to do.
struct Reading {
    reason: &'static str,
    code: Option<i32>,
    texts: &'static [&'static str],
    advice: &'static str,
}

const DENIED: &[&str] = &[
    "access denied",
    "accessdenied",
    "403 forbidden",
    "invalidaccesskeyid",
    "invalid access key",
    "access key id you provided does not exist",
    "no user exists with the provided access key",
    "signaturedoesnotmatch",
    "request signature we calculated does not match",
];

/// In this order: a text may show more than one, and the first is the cause.
const READINGS: &[Reading] = &[
    Reading {
        reason: "WrongPassword",
        code: Some(12),
        texts: &["wrong password"],
        advice: "the repository was made with another password: put that one into the encryption Secret",
    },
    Reading { reason: "AccessDenied", code: None, texts: DENIED, advice: "check the key and its rights to the bucket" },
    Reading {
        reason: LOCKED,
        code: Some(11),
        texts: &["already locked"],
        advice: "another job holds its lock: try later",
    },
    Reading {
        reason: "BucketMissing",
        code: None,
        texts: &["nosuchbucket", "bucket does not exist"],
        advice: "make the bucket, or correct the account's bucket name",
    },
    Reading {
        reason: "CertificateUntrusted",
        code: None,
        texts: &["x509:", "certificate signed by unknown authority", "failed to verify certificate"],
        advice: "give the account the endpoint's caBundle",
    },
    Reading {
        reason: "ScratchFull",
        code: None,
        texts: &["no space left on device"],
        advice: "give the job a larger scratch volume",
    },
    Reading {
        reason: "Unreachable",
        code: None,
        texts: &["dial tcp", "connection refused", "connection reset", "no such host", "timeout", "unexpected eof"],
        advice: "check the endpoint, the network policy and the vendor's status page",
    },
    Reading {
        reason: MISSING,
        code: Some(10),
        texts: &["config: no such file", "stat: the specified key does not exist", "nosuchkey"],
        advice: "make a backup first, or correct the account's bucket and prefix",
    },
    Reading {
        reason: "SnapshotMissing",
        code: None,
        texts: &["no snapshot found", "no matching id found", "invalid id"],
        advice: "list what there is with `restic snapshots`",
    },
];

/// Whether a line on standard error means that more tries are pointless: restic itself would try for 15 minutes.
pub fn hopeless(line: &str) -> bool {
    let line = line.to_lowercase();
    DENIED.iter().any(|text| line.contains(text))
}

/// The failure of a call that ended by itself, or was ended for being hopeless.
pub fn read(target: &Target, code: Option<i32>, said: &str) -> Failure {
    let lower = said.to_lowercase();
    let shows = |reading: &&Reading| reading.texts.iter().any(|text| lower.contains(text));
    let by_code = READINGS.iter().find(|reading| reading.code.is_some() && reading.code == code);
    match by_code.or_else(|| READINGS.iter().find(shows)) {
        Some(reading) => {
            Failure::new(reading.reason, about(target, &format!("{}; restic said: {}", reading.advice, brief(said))))
        }
        None => {
            Failure::new("BackupToolFailed", about(target, &format!("restic ended with {code:?}: {}", brief(said))))
        }
    }
}

/// The failure of a call that was cut off.
pub fn unfinished(target: &Target, failure: Failure, said: &str) -> Failure {
    match failure.reason.as_str() {
        LATE if !said.trim().is_empty() => {
            let text = format!("{}; the last that restic said: {}", failure.message, brief(said));
            Failure::new(LATE, about(target, &text))
        }
        _ => Failure::new(&failure.reason, about(target, &failure.message)),
    }
}

/// The failure of a repository that gave no answer at all.
pub fn silent(target: &Target, limits: &Limits, failure: &Failure) -> Failure {
    let text = format!("no answer within {} s; check the endpoint and the network policy", limits.answer_seconds);
    Failure::new("Unreachable", format!("{} ({})", about(target, &text), failure.message))
}

/// The failure of output that cannot be read.
pub fn babble(target: &Target, error: &dyn Display) -> Failure {
    Failure::new("BackupToolFailed", about(target, &format!("restic's answer cannot be read ({error})")))
}

/// The failure of a snapshot that is not there, or not ours.
pub fn no_snapshot(target: &Target, wanted: &str) -> Failure {
    Failure::new("SnapshotMissing", about(target, &format!("no snapshot {wanted} of this application")))
}

fn about(target: &Target, text: &str) -> String {
    format!("account {}: {text}", target.account)
}

/// The end of a text, on one line.
fn brief(said: &str) -> String {
    let line = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let skip = line.chars().count().saturating_sub(400);
    line.chars().skip(skip).collect()
}
