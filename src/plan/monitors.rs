//! Monitors: an uptime check from outside, a Sentry project for errors, and metrics where Prometheus is there.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::claims::Vendor;
use super::diff::diff;
use super::names::joined;
use super::{Action, Ask, Manifest, Steps, Verdict};
use crate::api::{Adopt, Metrics, Uptime};
use crate::fault::Hold;
use crate::kinds::Kind;
use crate::rows::{Change, Monitor, Project};
use crate::vault::{Note, Remembered};

/// How long a monitor may be missing from UptimeRobot's lists after it was made: its own Terraform provider polls for
/// up to 180 s (<https://github.com/uptimerobot/terraform-provider-uptimerobot>).
const LAG: SignedDuration = SignedDuration::from_secs(180);

/// How often such a monitor is looked for.
const LOOK: Duration = Duration::from_secs(5);

/// Plans the monitors.
pub fn plan(ask: Ask<'_>) -> Option<Verdict> {
    let spoken = ask.saas.spec.monitors.is_some();
    (spoken || ask.has_left()).then(|| ask.monitor())
}

/// Removes all monitors when the object goes, and waits where nobody knows of all accounts.
pub fn farewell(ask: Ask<'_>) -> Option<Verdict> {
    let mut steps = Steps::default();
    ask.uptime_rows(None, &mut steps);
    ask.sentry_rows(None, &mut steps);
    steps.or_wait(ask.world.vault());
    Some(Ok(steps))
}

impl Ask<'_> {
    fn monitor(self) -> Verdict {
        self.world.vault()?;
        let mut steps = Steps::default();
        let monitors = self.saas.spec.monitors.clone().unwrap_or_default();
        let mut shown = Vec::new();
        if monitors.objectives.is_some() {
            steps.wait(super::unsupported::hold("monitors.objectives"));
        }
        let uptime = monitors.uptime.as_ref().and_then(|uptime| self.uptime(uptime, &mut steps, &mut shown));
        if monitors.uptime.is_none() || uptime.is_some() {
            self.uptime_rows(uptime.as_ref().map(|(account, row)| (account.as_str(), row)), &mut steps);
        }
        let sentry = monitors.sentry.as_ref().and_then(|sentry| {
            let (account, _) = steps.or_wait(self.account(Vendor::Sentry, sentry.account.as_deref()))?;
            Some(account.to_owned())
        });
        if monitors.sentry.is_none() || sentry.is_some() {
            self.sentry_rows(sentry.as_deref(), &mut steps);
        }
        if let Some(metrics) = &monitors.metrics {
            self.metrics(metrics, &mut steps, &mut shown);
        }
        if monitors.logs.is_some() {
            shown.push("log retention is the platform's: not checked".into());
        }
        steps.evidence = shown.join("; ");
        Ok(steps)
    }

    /// The env name that the Sentry DSN fills.
    pub fn sentry_env(&self) -> Option<String> {
        Some(self.saas.spec.monitors.as_ref()?.sentry.as_ref()?.env.clone())
    }

    /// The wanted uptime monitor, once there is something to watch.
    fn uptime(self, uptime: &Uptime, steps: &mut Steps, shown: &mut Vec<String>) -> Option<(String, Monitor)> {
        let (account, _) = steps.or_wait(self.account(Vendor::UptimeRobot, uptime.account.as_deref()))?;
        let url =
            steps
                .or_wait(self.url().ok_or_else(|| {
                    Hold::person("NoDomain", "an uptime monitor needs a public address: add `domains`")
                }))?;
        steps.or_wait(self.may_use(&self.saas.spec.domains[0], account))?;
        let known = self
            .world
            .monitors
            .get(account)
            .is_some_and(|t| t.as_ref().is_ok_and(|t| t.iter().any(|h| h.is_of(&self.world.mark))));
        if !known {
            steps.or_wait(
                self.is_public()
                    .map_err(|hold| Hold { message: format!("watches once it is live: {}", hold.message), ..hold }),
            )?;
        }
        let every = u32::try_from(uptime.every_seconds).unwrap_or(60);
        let failures = u32::try_from(uptime.failures).unwrap_or(1);
        shown.push(format!("{url}{} is asked every {every} s", uptime.path));
        let row = Monitor {
            name: self.label(),
            url: format!("{url}{}", uptime.path),
            every_seconds: every,
            alert_after_seconds: every * failures,
        };
        Some((account.to_owned(), row))
    }

    fn uptime_rows(self, wanted: Option<(&str, &Monitor)>, steps: &mut Steps) {
        for account in self.accounts_of("uptime", wanted.map(|(account, _)| account)) {
            let rows: Vec<Monitor> =
                wanted.iter().filter(|(used, _)| *used == account).map(|(_, row)| (*row).clone()).collect();
            let table = match self.world.monitors.get(&account) {
                Some(seen) => seen.as_ref().map_err(Hold::from),
                None => Err(gone(&account)),
            };
            let Some(table) = steps.or_wait(table) else { continue };
            let changes = diff(&rows, table, &self.world.mark, Adopt::Never).changes;
            let is_empty = rows.is_empty() && changes.is_empty();
            if is_empty && self.may_monitor_turn_up(&account) {
                let text = "UptimeRobot may have taken a monitor that it does not list yet: it is looked for until it must be listed, and then removed";
                steps.wait(Hold::after("ListPending", LOOK, text));
                continue;
            }
            self.remember_at("uptime", &account, (!rows.is_empty(), is_empty), steps);
            if is_empty && self.monitor_begun(&account).is_some() {
                steps.note(Note::Begun(begun_at(&account), None));
            }
            for change in changes {
                self.uptime_change(&account, change, steps);
            }
        }
    }

    /// UptimeRobot lists a new monitor only after a while, so that a create is noted first and not repeated until its
    /// outcome must be known.
    fn uptime_change(self, account: &str, change: Change<Monitor>, steps: &mut Steps) {
        if matches!(change, Change::Create(_)) {
            if self.monitor_begun(account).is_some_and(|at| self.world.now.duration_since(at) < LAG) {
                let text = "UptimeRobot has taken the monitor and does not list it yet";
                return steps.wait(Hold::after("ListPending", LOOK, text));
            }
            steps.note(Note::Begun(begun_at(account), Some(self.world.now)));
        }
        steps.act(Action::Monitor { account: account.to_owned(), change });
    }

    /// When the last create of a monitor was begun at an account.
    fn monitor_begun(self, account: &str) -> Option<Timestamp> {
        self.world.vault.as_ref().ok()?.ledger.begun.get(&begun_at(account)).copied()
    }

    /// Whether a monitor of ours may stand at an account and no list has shown it: it is listed late, and what was seen may
    /// be a list of some time ago.
    pub fn may_monitor_turn_up(self, account: &str) -> bool {
        let refresh = i64::try_from(self.world.config.refresh_seconds).unwrap_or(i64::MAX);
        let late = LAG.saturating_add(SignedDuration::from_secs(refresh));
        self.monitor_begun(account).is_some_and(|at| self.world.now.duration_since(at) < late)
    }

    fn sentry_rows(self, used: Option<&str>, steps: &mut Steps) {
        for account in self.accounts_of("sentry", used) {
            let wanted = used == Some(account.as_str());
            let table = match self.world.projects.get(&account) {
                Some(seen) => seen.as_ref().map_err(Hold::from),
                None => Err(gone(&account)),
            };
            let Some(table) = steps.or_wait(table) else { continue };
            let ours: Vec<_> = table.iter().filter(|held| held.is_of(&self.world.mark)).collect();
            self.remember_at("sentry", &account, (wanted, ours.is_empty()), steps);
            match (wanted, ours.first()) {
                (true, None) => {
                    let project = Project { slug: self.project_slug(), dsn: None };
                    steps.act(Action::Project { account, change: Change::Create(project) });
                }
                (true, Some(held)) if held.row.dsn.is_none() => {
                    let change = Change::Update(held.id.clone(), held.row.clone());
                    steps.act(Action::Project { account, change });
                }
                (true, Some(held)) => self.take_dsn(&held.row, steps),
                (false, _) => ours.iter().for_each(|held| {
                    steps.act(Action::Project { account: account.clone(), change: Change::Delete(held.id.clone()) });
                }),
            }
        }
    }

    fn take_dsn(self, project: &Project, steps: &mut Steps) {
        let (Some(env), Some(dsn)) = (self.sentry_env(), &project.dsn) else { return };
        let stored = self.world.vault.as_ref().is_ok_and(|vault| vault.value(&env) == Some(dsn));
        if !stored {
            steps.note(Note::Value(env, dsn.clone().into()));
        }
    }

    /// The slug of the project at Sentry.
    pub fn project_slug(self) -> String {
        let namespace = self.saas.metadata.namespace.clone().unwrap_or_default();
        if namespace == self.name() { self.name() } else { joined(&namespace, &self.name()) }
    }

    /// The accounts where rows of a kind may stand, and the one in use.
    pub fn accounts_of(self, part: &str, used: Option<&str>) -> Vec<String> {
        let remembered = self.world.vault.as_ref().map(|vault| vault.ledger.accounts.clone()).unwrap_or_default();
        let mut accounts: Vec<String> = remembered.into_iter().filter(|r| r.part == part).map(|r| r.account).collect();
        accounts.extend(used.map(str::to_owned));
        if self.saas.metadata.deletion_timestamp.is_some() {
            let seen = if part == "uptime" {
                self.world.monitors.keys().cloned().collect()
            } else {
                self.world.projects.keys().cloned().collect::<Vec<_>>()
            };
            accounts.extend(seen);
        }
        accounts.sort();
        accounts.dedup();
        accounts
    }

    fn has_left(self) -> bool {
        !self.accounts_of("uptime", None).is_empty() || !self.accounts_of("sentry", None).is_empty()
    }

    /// Notes an account before rows are made there, and forgets it once none is left.
    fn remember_at(self, part: &str, account: &str, (wanted, empty): (bool, bool), steps: &mut Steps) {
        let remembered = Remembered { part: part.into(), account: account.into(), zone: None };
        let known = self.world.vault.as_ref().is_ok_and(|vault| vault.ledger.accounts.contains(&remembered));
        match (wanted, known) {
            (true, false) => steps.note(Note::Account(remembered)),
            (false, true) if empty => steps.note(Note::Forget(remembered)),
            _ => {}
        }
    }

    /// Metrics for Prometheus, where its operator is installed; a dashboard for Grafana's sidecar.
    fn metrics(self, metrics: &Metrics, steps: &mut Steps, shown: &mut Vec<String>) {
        let labels = &self.world.config.monitor_labels;
        if self.world.serves(Kind::ServiceMonitor) {
            let endpoint = json!({"port": "http", "path": metrics.path, "interval": "30s"});
            let body = json!({"spec": {"selector": {"matchLabels": {crate::objects::OWNER: self.name()}}, "endpoints": [endpoint]}});
            let mut manifest = Manifest::new(Kind::ServiceMonitor, self.name(), body);
            manifest.labels.clone_from(labels);
            steps.declare(manifest);
            shown.push(format!("{} is scraped", metrics.path));
        } else {
            shown.push("no ServiceMonitor: this cluster does not serve monitoring.coreos.com".into());
        }
        if self.world.serves(Kind::PrometheusRule) {
            let mut manifest = Manifest::new(Kind::PrometheusRule, self.name(), self.rules_for_alerts());
            manifest.labels.clone_from(labels);
            steps.declare(manifest);
        }
        if metrics.dashboard.unwrap_or(false) {
            let mut manifest = Manifest::new(
                Kind::ConfigMap,
                self.named("dashboard"),
                json!({"data": {"dashboard.json": self.dashboard()}}),
            );
            manifest.labels.insert("grafana_dashboard".into(), "1".into());
            steps.declare(manifest);
            shown.push("a dashboard for Grafana is in a ConfigMap".into());
        }
    }

    fn rules_for_alerts(self) -> serde_json::Value {
        let down = json!({
            "alert": "SaasDeploymentPodsUnavailable",
            "expr": format!("kube_deployment_status_replicas_available{{namespace=\"{}\",deployment=\"{}\"}} == 0", self.saas.metadata.namespace.clone().unwrap_or_default(), self.name()),
            "for": "5m",
            "labels": {"severity": "critical"},
            "annotations": {"summary": format!("No pod of {} is available", self.label())},
        });
        json!({"spec": {"groups": [{"name": format!("golive-{}", self.name()), "rules": [down]}]}})
    }

    /// A dashboard over what every web application exposes: requests, errors, latency.
    fn dashboard(self) -> String {
        let selector = format!(
            "namespace=\"{}\",service=\"{}\"",
            self.saas.metadata.namespace.clone().unwrap_or_default(),
            self.name()
        );
        let panel = |id: u8, title: &str, expr: String| {
            json!({
                "id": id, "title": title, "type": "timeseries", "datasource": {"type": "prometheus", "uid": "${datasource}"},
                "gridPos": {"x": 0, "y": 8 * (id - 1), "w": 24, "h": 8}, "targets": [{"expr": expr, "refId": "A"}],
            })
        };
        let variable = json!({"name": "datasource", "type": "datasource", "query": "prometheus"});
        json!({
            "title": self.label(), "uid": super::names::hash(self.label().as_bytes(), 12), "schemaVersion": 39, "refresh": "30s",
            "time": {"from": "now-6h", "to": "now"}, "templating": {"list": [variable]},
            "panels": [
                panel(1, "Requests per second", format!("sum by (status) (rate(http_requests_total{{{selector}}}[5m]))")),
                panel(2, "Share of errors", format!("sum(rate(http_requests_total{{{selector},status=~\"5..\"}}[5m])) / sum(rate(http_requests_total{{{selector}}}[5m]))")),
                panel(3, "Mean latency in seconds", format!("sum(rate(http_request_duration_seconds_sum{{{selector}}}[5m])) / sum(rate(http_request_duration_seconds_count{{{selector}}}[5m]))")),
            ],
        })
        .to_string()
    }
}

/// The ledger's word for a create of a monitor at an account.
pub fn begun_at(account: &str) -> String {
    format!("uptime/{account}")
}

fn gone(account: &str) -> Hold {
    Hold::event("AccountMissing", format!("ProviderAccount `{account}` is gone: what golive made there cannot be seen"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::{saas, world};
    use crate::rows::{Held, Id};
    use crate::vault::Vault;
    use crate::world::World;

    fn remembered() -> Remembered {
        Remembered { part: "uptime".into(), account: "up".into(), zone: None }
    }

    /// A world so many seconds after the create of a monitor was begun, where the vendor lists nothing.
    fn after(seconds: i64) -> World {
        let mut world = world(&[]);
        let mut vault = Vault::default();
        vault.enter(Note::Account(remembered()));
        vault.enter(Note::Begun(begun_at("up"), Some(Timestamp::UNIX_EPOCH)));
        world.vault = Ok(vault);
        world.monitors.insert("up".into(), Ok(Vec::new().into()));
        world.now = Timestamp::from_second(seconds).unwrap();
        world
    }

    /// Why it waits, once the spec no longer asks for a monitor or the object goes, and what it then does.
    fn unwanted(world: &World) -> [(Option<&'static str>, Vec<Action>); 2] {
        let saas = saas(json!({}));
        let ask = Ask { saas: &saas, world };
        [plan(ask), farewell(ask)].map(|verdict| {
            let steps = verdict.unwrap().ok().unwrap();
            (steps.waits.map(|hold| hold.reason), steps.actions)
        })
    }

    #[test]
    fn a_monitor_that_is_not_listed_yet_is_looked_for_before_it_is_forgotten() {
        for seconds in [0, 179, 239] {
            for (waits, actions) in unwanted(&after(seconds)) {
                assert!(waits == Some("ListPending") && actions.is_empty(), "{seconds} s: {waits:?} {actions:?}");
            }
        }
        for (waits, actions) in unwanted(&after(240)) {
            let mut vault = after(240).vault.unwrap();
            for action in actions {
                let Action::Note(notes) = action else { panic!("{action:?}") };
                for note in notes {
                    vault.enter(note);
                }
            }
            assert_eq!((waits, vault.ledger), (None, Vault::default().ledger), "nothing is kept in mind");
        }
    }

    #[test]
    fn a_monitor_that_is_listed_is_removed_at_once() {
        let mut world = after(1);
        let row =
            Monitor { name: "a".into(), url: "https://a.example".into(), every_seconds: 60, alert_after_seconds: 60 };
        let held = Held { id: Id("7".into()), mark: Some(world.mark.clone()), row };
        world.monitors.insert("up".into(), Ok(vec![held].into()));
        for (waits, actions) in unwanted(&world) {
            let removes =
                |action: &Action| matches!(action, Action::Monitor { change: Change::Delete(id), .. } if id.0 == "7");
            assert!(waits.is_none() && actions.len() == 1 && removes(&actions[0]), "{actions:?}");
        }
    }

    fn watched(monitors: serde_json::Value) -> crate::api::SaasDeployment {
        saas(json!({"domains": ["a.example"], "monitors": monitors}))
    }

    fn steps(saas: &crate::api::SaasDeployment, world: &World) -> Steps {
        plan(Ask { saas, world }).unwrap().ok().unwrap()
    }

    #[test]
    fn a_monitor_that_stands_becomes_what_the_spec_says() {
        let account = json!({"default": true, "uptimeRobot": {"keySecret": {"name": "s", "key": "k"}}});
        let mut world = world(&[("up", account)]);
        world.vault = Ok(Vault::default());
        let row = |every_seconds, alert_after_seconds| {
            let url = "https://a.example/up".to_owned();
            Monitor { name: "n/app".into(), url, every_seconds, alert_after_seconds }
        };
        let held = Held { id: Id("7".into()), mark: Some(world.mark.clone()), row: row(60, 60) };
        world.monitors.insert("up".into(), Ok(vec![held].into()));
        let told = |uptime: serde_json::Value| {
            let steps = steps(&watched(json!({"uptime": uptime})), &world);
            let change = steps.actions.into_iter().find_map(|action| match action {
                Action::Monitor { account, change: Change::Update(id, row) } if account == "up" && id.0 == "7" => {
                    Some(row)
                }
                _ => None,
            });
            (change, steps.evidence.contains("https://a.example/up is asked every"))
        };
        assert_eq!(told(json!({"path": "/up", "everySeconds": 30, "failures": 4})), (Some(row(30, 120)), true));
        assert_eq!(told(json!({"path": "/up", "everySeconds": 60, "failures": 1})), (None, true));
    }

    #[test]
    fn a_create_that_may_have_been_done_is_not_repeated_until_its_outcome_must_be_known() {
        let row = || Monitor { name: "a".into(), url: "u".into(), every_seconds: 60, alert_after_seconds: 60 };
        let done = |world: &World, change: Change<Monitor>| {
            let (saas, mut steps) = (saas(json!({})), Steps::default());
            Ask { saas: &saas, world }.uptime_change("up", change, &mut steps);
            (steps.actions.len(), steps.waits.map(|hold| hold.reason))
        };
        for seconds in [0, 179] {
            assert_eq!(done(&after(seconds), Change::Create(row())), (0, Some("ListPending")));
            assert_eq!(done(&after(seconds), Change::Delete(Id("7".into()))), (1, None));
        }
        assert_eq!(done(&after(180), Change::Create(row())), (2, None), "noted, and made");
        assert_eq!(done(&world(&[]), Change::Create(row())), (2, None));
    }

    #[test]
    fn a_project_is_made_completed_kept_in_mind_and_removed() {
        let account = json!({"default": true, "sentry": {"organization": "o", "team": "t", "tokenSecret": {"name": "s", "key": "k"}}});
        let mut world = world(&[("se", account)]);
        world.vault = Ok(Vault::default());
        let wanted = watched(json!({"sentry": {"env": "DSN"}}));
        let table = |world: &World, dsn: Option<&str>| {
            let row = Project { slug: "n-app".into(), dsn: dsn.map(str::to_owned) };
            let strange = Held { id: Id("0".into()), mark: None, row: row.clone() };
            Ok(vec![strange, Held { id: Id("1".into()), mark: Some(world.mark.clone()), row }].into())
        };
        let done = |saas: &crate::api::SaasDeployment, world: &World| {
            let word = |action: Action| match action {
                Action::Project { change: Change::Create(row), .. } => format!("create {}", row.slug),
                Action::Project { change: Change::Update(id, _), .. } => format!("complete {id}"),
                Action::Project { change: Change::Delete(id), .. } => format!("delete {id}"),
                Action::Note(notes) => match &notes[..] {
                    [Note::Account(at)] => format!("remember {}", at.account),
                    [Note::Value(env, _)] => format!("store {env}"),
                    other => format!("{other:?}"),
                },
                other => format!("{other:?}"),
            };
            steps(saas, world).actions.into_iter().map(word).collect::<Vec<_>>()
        };
        world.projects.insert("se".into(), Ok(Vec::new().into()));
        assert_eq!(done(&wanted, &world), ["remember se", "create n-app"]);
        let at = Remembered { part: "sentry".into(), account: "se".into(), zone: None };
        world.vault.as_mut().unwrap().enter(Note::Account(at));
        world.projects.insert("se".into(), table(&world, None));
        assert_eq!(done(&wanted, &world), ["complete 1"]);
        world.projects.insert("se".into(), table(&world, Some("https://dsn")));
        assert_eq!(done(&wanted, &world), ["store DSN"]);
        world.vault.as_mut().unwrap().enter(Note::Value("DSN".into(), "https://dsn".to_owned().into()));
        assert_eq!(done(&wanted, &world), [""; 0]);
        assert_eq!(done(&saas(json!({})), &world), ["delete 1"]);
    }

    #[test]
    fn where_no_monitor_is_asked_for_and_none_was_nothing_is_said_of_them() {
        let saas = saas(json!({}));
        assert!(plan(Ask { saas: &saas, world: &world(&[]) }).is_none());
        assert!(plan(Ask { saas: &saas, world: &after(0) }).is_some(), "one may be left");
    }

    #[test]
    fn an_alert_is_declared_for_the_applications_own_pods_where_the_cluster_takes_alerts() {
        let saas = saas(json!({"monitors": {"metrics": {}}}));
        let mut world = world(&[]);
        let rules = |world: &World| {
            let steps = plan(Ask { saas: &saas, world }).unwrap().ok().unwrap();
            steps.manifests.into_iter().find(|m| m.kind == Kind::PrometheusRule).map(|m| m.body)
        };
        assert_eq!(rules(&world), None);
        world.served = Kind::ALL.into();
        let asks = rules(&world).unwrap()["spec"]["groups"][0]["rules"][0]["expr"].clone();
        assert_eq!(asks, "kube_deployment_status_replicas_available{namespace=\"n\",deployment=\"app\"} == 0");
    }
}
