//! Whose a host is, where several SaasDeployments name it: who holds it keeps it, and of those who do not the oldest gets
//! it. What an object holds stands in its status. Each pass ranks the claims anew and alike, so that a status that came
//! late is put right by the passes after it: of two that took a host in the same moment the younger lets go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;

use super::Observer;
use crate::api::SaasDeployment;

impl Observer {
    /// Hosts of this object that another one has. What this process wrote of the others counts before a watch brings it.
    pub(super) fn rivals(&self, saas: &SaasDeployment) -> BTreeMap<String, String> {
        let ours: BTreeSet<&String> = hosts(saas).collect();
        if ours.is_empty() {
            return BTreeMap::new();
        }
        let shares =
            |other: &Arc<SaasDeployment>| hosts(other).any(|host| ours.contains(host)) && other.uid() != saas.uid();
        let others: Vec<_> = self.deployments.state().into_iter().filter(shares).collect();
        rivals(saas, &others.into_iter().map(|other| self.latest.of(other)).collect::<Vec<_>>())
    }
}

/// The hosts of an object to which one of these others has the better claim, with whose they are.
fn rivals(saas: &SaasDeployment, others: &[Arc<SaasDeployment>]) -> BTreeMap<String, String> {
    let rival = |host: &String| {
        let claims = others.iter().filter(|other| hosts(other).any(|theirs| theirs == host));
        let best = claims.min_by_key(|other| rank(other, host))?;
        let label = || format!("{}/{}", best.namespace().unwrap_or_default(), best.name_any());
        (rank(best, host) < rank(saas, host)).then(|| (host.clone(), label()))
    };
    hosts(saas).filter_map(rival).collect()
}

/// The hosts that an object claims.
fn hosts(saas: &SaasDeployment) -> impl Iterator<Item = &String> {
    saas.spec.domains.iter().chain(&saas.spec.redirect_from)
}

/// How good a claim is, the best first: of who holds the host, then of the older one by creation, then by uid.
fn rank(saas: &SaasDeployment, host: &String) -> (bool, Option<Timestamp>, Option<String>) {
    let holds = saas.status.as_ref().is_some_and(|status| status.hosts.contains(host));
    (!holds, saas.creation_timestamp().map(|t| t.0), saas.uid())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    /// An object made at this second, which claims these hosts and holds those.
    fn made(at: i64, claims: &[&str], holds: &[&str]) -> SaasDeployment {
        let mut saas = SaasDeployment::new(&format!("app-{at}"), Default::default());
        saas.metadata.namespace = Some("n".into());
        saas.metadata.uid = Some(at.to_string());
        saas.metadata.creation_timestamp = Some(Time(Timestamp::from_second(at).unwrap()));
        saas.spec.domains = claims.iter().map(|host| (*host).to_owned()).collect();
        saas.status.get_or_insert_default().hosts = holds.iter().map(|host| (*host).to_owned()).collect();
        saas
    }

    fn rival_of(saas: &SaasDeployment, others: &[SaasDeployment]) -> Option<String> {
        let others: Vec<_> = others.iter().cloned().map(Arc::new).collect();
        rivals(saas, &others).get("a").cloned()
    }

    #[test]
    fn who_holds_a_host_keeps_it_from_an_older_one_that_adds_it() {
        let (old, live) = (made(1, &["b", "a"], &["b"]), made(2, &["a"], &["a"]));
        assert_eq!(rival_of(&old, std::slice::from_ref(&live)).as_deref(), Some("n/app-2"));
        assert_eq!(rival_of(&live, std::slice::from_ref(&old)), None);
    }

    #[test]
    fn where_both_or_neither_hold_a_host_the_older_one_gets_it() {
        for holds in [&[][..], &["a"]] {
            let (old, new) = (made(1, &["a"], holds), made(2, &["a"], holds));
            assert_eq!(rival_of(&new, std::slice::from_ref(&old)).as_deref(), Some("n/app-1"));
            assert_eq!(rival_of(&old, std::slice::from_ref(&new)), None);
        }
    }

    #[test]
    fn a_host_that_its_holder_no_longer_names_is_free_and_one_that_redirects_counts() {
        let new = made(2, &["a"], &[]);
        assert_eq!(rival_of(&new, &[made(1, &[], &["a"])]), None);
        let mut redirects = made(3, &["b"], &["a", "b"]);
        redirects.spec.redirect_from = vec!["a".into()];
        assert_eq!(rival_of(&new, &[redirects]).as_deref(), Some("n/app-3"));
    }

    #[test]
    fn of_several_the_one_that_has_the_host_is_named() {
        let others = [made(1, &["a"], &[]), made(3, &["a"], &["a"]), made(2, &["a"], &[])];
        assert_eq!(rival_of(&made(4, &["a"], &[]), &others).as_deref(), Some("n/app-3"));
    }

    const HOSTS: [&str; 3] = ["a", "b", "c"];

    /// What a pass over an object that is seen so, beside others that are seen so, writes.
    fn passed(saas: &SaasDeployment, seen: &[SaasDeployment]) -> Vec<String> {
        let others: Vec<_> = seen.iter().filter(|other| other.uid() != saas.uid()).cloned().map(Arc::new).collect();
        let rivals = rivals(saas, &others);
        hosts(saas).filter(|host| !rivals.contains_key(*host)).cloned().collect()
    }

    /// Numbers that seem to come by chance.
    struct Chance(u64);

    impl Chance {
        fn below(&mut self, most: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(self.0 >> 33).unwrap() % most
        }
    }

    /// Hosts come and go, and passes see an old picture of the others; in the end every host that is named has one holder.
    #[test]
    fn whoever_was_seen_late_all_agree_in_the_end() {
        for seed in 0..2000 {
            let mut chance = Chance(seed);
            let mut all: Vec<_> = (0..4).map(|at| made(at, &[], &[])).collect();
            let mut pictures = vec![all.clone()];
            for _ in 0..30 {
                let (at, host) = (chance.below(all.len()), HOSTS[chance.below(HOSTS.len())].to_owned());
                match chance.below(3) {
                    0 if all[at].spec.domains.contains(&host) => all[at].spec.domains.retain(|own| *own != host),
                    0 => all[at].spec.domains.push(host),
                    _ => {
                        let seen = &pictures[pictures.len() - 1 - chance.below(pictures.len().min(5))];
                        all[at].status.get_or_insert_default().hosts = passed(&all[at], seen);
                    }
                }
                pictures.push(all.clone());
            }
            for _ in 0..2 * all.len() {
                let at = chance.below(all.len());
                all[at].status.get_or_insert_default().hosts = passed(&all[at], &all);
            }
            (0..all.len()).for_each(|at| all[at].status.get_or_insert_default().hosts = passed(&all[at], &all));
            for host in HOSTS {
                let count = |is: &dyn Fn(&SaasDeployment) -> bool| all.iter().filter(|saas| is(saas)).count();
                let claimed = count(&|saas| saas.spec.domains.iter().any(|own| own == host));
                let held = count(&|saas| saas.status.as_ref().unwrap().hosts.iter().any(|own| own == host));
                assert_eq!(held, claimed.min(1), "{host} with seed {seed}");
            }
        }
    }
}
