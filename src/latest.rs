//! What this process wrote to SaasDeployments itself, until the watch brings it back: a pass that starts in between must
//! not take its own write for missing, and write it again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use kube::ResourceExt;

use crate::api::SaasDeployment;
use crate::cluster::version;

/// The newest versions that are known from answers to our own writes.
#[derive(Default)]
pub struct Latest(Mutex<HashMap<String, Arc<SaasDeployment>>>);

impl Latest {
    /// Remembers what the API server answered to a write.
    pub fn wrote(&self, mut answered: SaasDeployment) -> Arc<SaasDeployment> {
        answered.managed_fields_mut().clear();
        let answered = Arc::new(answered);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(answered.uid().unwrap_or_default(), answered.clone());
        answered
    }

    /// The newer of what a watch brought and what we wrote. What the watch has caught up with is forgotten.
    pub fn of(&self, seen: Arc<SaasDeployment>) -> Arc<SaasDeployment> {
        let uid = seen.uid().unwrap_or_default();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(&uid) {
            Some(own) if version(&**own) > version(&*seen) => own.clone(),
            Some(_) => {
                known.remove(&uid);
                seen
            }
            None => seen,
        }
    }

    /// Forgets an object that we let go.
    pub fn forget(&self, saas: &SaasDeployment) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&saas.uid().unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(version: u64) -> SaasDeployment {
        let mut saas = SaasDeployment::new("a", Default::default());
        (saas.metadata.uid, saas.metadata.resource_version) = (Some("u".into()), Some(version.to_string()));
        saas
    }

    fn seen(latest: &Latest, version: u64) -> Option<String> {
        latest.of(Arc::new(at(version))).resource_version()
    }

    #[test]
    fn our_own_write_counts_until_the_watch_has_caught_up() {
        let latest = Latest::default();
        assert_eq!(seen(&latest, 9).as_deref(), Some("9"));
        latest.wrote(at(10));
        assert_eq!(seen(&latest, 9).as_deref(), Some("10"), "compared as numbers");
        assert_eq!(seen(&latest, 11).as_deref(), Some("11"));
        assert!(latest.0.lock().unwrap().is_empty());
    }
}
