//! Identifiers and secrets from a seed and a counter, so that a run can be repeated.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::message::hex;

/// A source of identifiers that never repeats one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ids {
    seed: String,
    next: u64,
}

const BASE62: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

impl Ids {
    /// A source of its own for each seed.
    pub fn new(seed: &str) -> Self {
        Self { seed: seed.into(), next: 0 }
    }

    /// Lower-case hexadecimal digits, at most 64.
    pub fn hex(&mut self, length: usize) -> String {
        let mut text = hex(&self.block());
        text.truncate(length);
        text
    }

    /// Letters and digits, at most 32.
    pub fn base62(&mut self, length: usize) -> String {
        let pick = |byte: &u8| char::from(BASE62[usize::from(*byte) % BASE62.len()]);
        self.block().iter().take(length).map(pick).collect()
    }

    /// The next number, from one upwards.
    pub fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn block(&mut self) -> Vec<u8> {
        let number = self.number();
        Sha256::digest(format!("{}/{number}", self.seed)).to_vec()
    }
}

/// An identifier that depends on nothing but a name: the same in every run.
pub fn named(name: &str, length: usize) -> String {
    let mut text = hex(&Sha256::digest(name));
    text.truncate(length);
    text
}
