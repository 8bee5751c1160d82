//! How each ProviderAccount stands: whether golive has everything that it needs to use it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use tracing::warn;

use crate::api::{AccountStatus, ProviderAccount};
use crate::cluster::{MANAGER, within};
use crate::fault::Seen;
use crate::observe::Observer;

/// How often the accounts are looked at; nothing is asked of vendors.
const EVERY: Duration = Duration::from_secs(5);

impl Observer {
    /// Keeps the status of every account; the future never ends.
    pub async fn keep_standings(&self) {
        loop {
            for account in self.accounts.accounts.state() {
                if let Err(fault) = self.tell_standing(&account).await {
                    warn!(account = account.name_any(), "{fault}");
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    async fn tell_standing(&self, account: &ProviderAccount) -> Seen<()> {
        let status = standing(account, self.accounts.usable(account), self.outside.now());
        if account.status.as_ref() == Some(&status) {
            return Ok(());
        }
        let name = account.name_any();
        let kind = json!({"apiVersion": "golive.dev/v1alpha1", "kind": "ProviderAccount"});
        let mut object = kind;
        object["metadata"] = json!({"name": name});
        object["status"] = json!(status);
        let api: Api<ProviderAccount> = Api::all(self.client.clone());
        let params = PatchParams::apply(MANAGER).force();
        within(&format!("write status of {name}"), api.patch_status(&name, &params, &Patch::Apply(object)))
            .await
            .map(|_| ())
    }
}

/// The status of an account, whose time of transition stays while the answer does.
fn standing(account: &ProviderAccount, usable: Seen<()>, now: Timestamp) -> AccountStatus {
    let generation = account.metadata.generation.unwrap_or_default();
    let (status, reason, message) = match usable {
        Ok(()) => ("True", "Usable", "its Secrets are there; each use says whether the vendor accepts them".to_owned()),
        Err(fault) => ("False", fault.reason(), fault.to_string()),
    };
    let old = account.status.iter().flat_map(|s| &s.conditions).find(|c| c.type_ == "Ready" && c.status == status);
    let second = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let ready = Condition {
        type_: "Ready".into(),
        status: status.into(),
        reason: reason.into(),
        message: message.chars().take(1000).collect(),
        last_transition_time: old.map_or(Time(second), |c| c.last_transition_time.clone()),
        observed_generation: Some(generation),
    };
    AccountStatus { conditions: vec![ready], observed_generation: generation }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;

    #[test]
    fn a_missing_secret_is_told_and_an_unchanged_answer_keeps_its_time() {
        let mut account = ProviderAccount::new("a", Default::default());
        let at = |second| Timestamp::from_second(second).unwrap();
        let denied = || Err(Fault::Denied("Secret `x` does not exist".into()));
        account.status = Some(standing(&account, denied(), at(1)));
        let later = standing(&account, denied(), at(9));
        assert_eq!(Some(&later), account.status.as_ref());
        assert_eq!(
            (later.conditions[0].status.as_str(), later.conditions[0].reason.as_str()),
            ("False", "CredentialDenied")
        );
        let usable = standing(&account, Ok(()), at(9));
        assert_eq!(usable.conditions[0].last_transition_time, Time(at(9)));
    }
}
