//! Names: of objects, of hosts, of revisions. Every name is a function of the spec alone.

use kube::ResourceExt;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Ask;

/// Longest name of a Job or Service: 63, less room for what controllers append.
const LONGEST: usize = 52;

/// Lower-case hex of a SHA-256, cut to `digits`.
pub fn hash(data: &[u8], digits: usize) -> String {
    let digest = Sha256::digest(data);
    let nibbles = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.take(digits).filter_map(|nibble| char::from_digit(u32::from(nibble), 16)).collect()
}

/// The hash of a value's JSON; maps are sorted, so equal values hash alike.
pub fn hash_of(value: &impl Serialize, digits: usize) -> String {
    hash(&serde_json::to_vec(value).unwrap_or_default(), digits)
}

/// `base-suffix`, shortened where it is too long for a Job, and then told apart by a hash.
pub fn joined(base: &str, suffix: &str) -> String {
    let whole = format!("{base}-{suffix}");
    if whole.len() <= LONGEST {
        return whole;
    }
    let kept: String = whole.chars().take(LONGEST - 9).collect();
    // A part of a name that follows a dot may not begin with a hyphen:
    // https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names
    format!("{}-{}", kept.trim_end_matches(['-', '.']), hash(whole.as_bytes(), 8))
}

impl Ask<'_> {
    /// The SaasDeployment's name: also that of its Deployment and Service.
    pub fn name(self) -> String {
        self.saas.name_any()
    }

    /// The name of one of its objects.
    pub fn named(self, suffix: &str) -> String {
        joined(&self.name(), suffix)
    }

    /// `namespace/name`, for people.
    pub fn label(self) -> String {
        format!("{}/{}", self.saas.namespace().unwrap_or_default(), self.name())
    }

    /// The Secret that holds generated values and what vendors gave.
    pub fn vault_name(self) -> String {
        self.named("secrets")
    }

    /// The Secret that holds the certificate.
    pub fn tls_name(self) -> String {
        let own = self.saas.spec.tls.as_ref().and_then(|tls| tls.secret_name.clone());
        own.unwrap_or_else(|| self.named("tls"))
    }

    /// Whether the user brings the certificate.
    pub fn brings_certificate(self) -> bool {
        self.saas.spec.tls.as_ref().is_some_and(|tls| tls.secret_name.is_some())
    }

    /// All hosts: domains first, then those that redirect.
    pub fn hosts(self) -> Vec<String> {
        self.saas.spec.domains.iter().chain(&self.saas.spec.redirect_from).cloned().collect()
    }

    /// The public address of the application: its first domain.
    pub fn url(self) -> Option<String> {
        self.saas.spec.domains.first().map(|domain| format!("https://{domain}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let base = "a-very-long-name-of-an-application-that-somebody-liked";
        let (one, two) = (joined(base, "migrate-1"), joined(base, "migrate-2"));
        assert!(one.len() <= LONGEST && one != two, "{one} {two}");
        assert!(one.starts_with("a-very-long-name-of-an-application-that-so"), "{one}");
        assert_eq!(joined("csvboard", "backup"), "csvboard-backup");
    }

    #[test]
    fn names_are_well_formed_wherever_they_are_cut() {
        let is_part = |part: &str| !part.is_empty() && !part.starts_with('-') && !part.ends_with('-');
        for length in 30..60 {
            for end in [".", "-", ".-", "-.", "..", "a"] {
                let account = format!("account-{}{end}and-so-on.eu", "s".repeat(length));
                let name = joined("app", &account);
                let is_cut_well = account.contains("..") || name.split('.').all(is_part);
                assert!(name.len() <= LONGEST && is_cut_well, "{name}");
            }
        }
    }

    #[test]
    fn equal_values_hash_alike_whatever_the_order() {
        let one = serde_json::json!({"a": 1, "b": 2});
        let two: serde_json::Value = serde_json::from_str(r#"{"b":2,"a":1}"#).unwrap();
        assert_eq!(hash_of(&one, 10), hash_of(&two, 10));
    }
}
