//! What scenarios leave to chance, the same in every run; and how much of it there is.

/// Xorshift: <https://www.jstatsoft.org/article/view/v008i14>.
pub struct Random(pub u64);

impl Random {
    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    /// One of some.
    pub fn pick<T: Clone>(&mut self, some: &[T]) -> T {
        let at = self.below(some.len() as u64) as usize;
        some[at].clone()
    }
}

/// A number that the environment may set: `make soak` asks for more than `make test`.
pub fn dial(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}
