//! Mutants of well-formed input for the parsers of outside data: a bounded number, the same in every run. A parser may
//! refuse any of them and break at none. `FUZZ_ROUNDS=1000000` runs longer.

pub mod outside;
mod tests;

use serde_json::Value;

/// What parsers trip over.
const TOKENS: [&[u8]; 16] = [
    b"null",
    b"-1",
    b"1e999",
    b"\"\"",
    b"[]",
    b"{}",
    b"18446744073709551616",
    b"-9223372036854775809",
    b"\xff\xfe",
    b"\\u0000",
    b"2026-02-30T24:61:61Z",
    b"9999-12-30T22:00:00.9Z",
    b"\xf0\x9f\x92\xa9",
    b"%00",
    b"\n---\n",
    b"&a *a",
];

/// A number generator that the seed alone decides: <https://prng.di.unimi.it/splitmix64.c>.
pub struct Dice(u64);

impl Dice {
    /// A fresh one.
    pub fn new(seed: u64) -> Self {
        Dice(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below a bound.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or(0)
    }
}

/// How many mutants a test takes where `usual` is enough for each run of all tests.
fn rounds(usual: usize) -> usize {
    std::env::var("FUZZ_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Hands mutants of the seeds to a parser.
pub fn bytes(seeds: &[&[u8]], usual: usize, mut parse: impl FnMut(&[u8])) {
    let mut dice = Dice::new(7);
    for _ in 0..rounds(usual) {
        let mut mutant = seeds[dice.below(seeds.len())].to_vec();
        for _ in 0..=dice.below(4) {
            mutate(&mut mutant, &mut dice);
        }
        parse(&mutant);
    }
}

/// The same for text; what is no UTF-8 has replacement characters.
pub fn texts(seeds: &[&str], usual: usize, mut parse: impl FnMut(&str)) {
    let seeds: Vec<&[u8]> = seeds.iter().map(|seed| seed.as_bytes()).collect();
    bytes(&seeds, usual, |mutant| parse(&String::from_utf8_lossy(mutant)));
}

fn mutate(mutant: &mut Vec<u8>, dice: &mut Dice) {
    let (at, other) = (dice.below(mutant.len() + 1), dice.below(mutant.len() + 1));
    let (from, to) = (at.min(other), at.max(other).min(at.min(other) + 64));
    match dice.below(6) {
        0 if at < mutant.len() => mutant[at] ^= 1 << dice.below(8),
        1 => drop(mutant.drain(from..to)),
        2 => mutant.truncate(at),
        3 => {
            let copy = mutant[from..to].to_vec();
            mutant.splice(at..at, copy);
        }
        4 if at < mutant.len() => mutant[at] = u8::try_from(dice.below(256)).unwrap_or(0),
        _ => drop(mutant.splice(from..to, TOKENS[dice.below(TOKENS.len())].iter().copied())),
    }
}

/// Hands mutants of a JSON value to a parser: well-formed, with some values of another kind or size, or gone.
pub fn json(seed: &Value, usual: usize, mut parse: impl FnMut(&Value)) {
    let places = places(seed, String::new());
    let mut dice = Dice::new(11);
    for _ in 0..rounds(usual) {
        let mut mutant = seed.clone();
        for _ in 0..=dice.below(3) {
            let place = &places[dice.below(places.len())];
            if let Some(value) = mutant.pointer_mut(place) {
                *value = odd(dice.below(14), value);
            }
        }
        parse(&mutant);
    }
}

fn places(value: &Value, path: String) -> Vec<String> {
    let below: Vec<String> = match value {
        Value::Object(fields) => {
            let escaped = |key: &String| key.replace('~', "~0").replace('/', "~1");
            fields.iter().flat_map(|(key, inner)| places(inner, format!("{path}/{}", escaped(key)))).collect()
        }
        Value::Array(items) => {
            items.iter().enumerate().flat_map(|(at, inner)| places(inner, format!("{path}/{at}"))).collect()
        }
        _ => Vec::new(),
    };
    std::iter::once(path).chain(below).collect()
}

fn odd(kind: usize, value: &Value) -> Value {
    match kind {
        0 => Value::Null,
        1 => (-1).into(),
        2 => u64::MAX.into(),
        3 => i64::MIN.into(),
        4 => 1e300.into(),
        5 => "".into(),
        6 => "x".repeat(5000).into(),
        7 => "9999-12-30T22:00:00.999999999Z".into(),
        8 => "-009999-01-02T01:59:59Z".into(),
        9 => Value::Array(vec![value.clone(); 3]),
        10 => Value::Array(Vec::new()),
        11 => serde_json::json!({}),
        12 => true.into(),
        _ => "\u{0}\u{202e}../../é".into(),
    }
}
