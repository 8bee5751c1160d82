//! One vendor at a time is down, throttles or has revoked our credential: only its part says so, with what to do,
//! everything else goes on, and it recovers without a touch. Each scenario spoils a credential that only its own
//! application uses, so that all run side by side, and none may notice another.

use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::apps::{all_blocks, hello, shows};
use crate::stage::{Outcome, Stage, until};
use world::platform::{NAMESPACE, list, secret};

/// A vendor, and what is to be seen when it is not well.
struct Vendor {
    /// As the control API and the application are called.
    name: &'static str,
    /// The condition of its part.
    part: &'static str,
    /// As messages call it.
    called: &'static str,
    /// The account that the application uses: `(name, the one it is copied from, the field of its Secret)`.
    account: (&'static str, &'static str, &'static str),
    /// Where the spec names the account.
    at: &'static str,
    /// The variable of the world that holds the credential, and its key in the Secret.
    credential: (&'static str, &'static str),
}

const CLOUDFLARE: Vendor = Vendor {
    name: "cloudflare",
    part: "DnsReady",
    called: "Cloudflare",
    account: ("cloudflare-spare", "cloudflare", "tokenSecret"),
    at: "/dns/account",
    credential: ("CLOUDFLARE_SPARE_TOKEN", "token"),
};
const STRIPE: Vendor = Vendor {
    name: "stripe",
    part: "PaymentsReady",
    called: "Stripe",
    account: ("stripe-spare", "stripe-test", "keySecret"),
    at: "/payments/stripe/account",
    credential: ("STRIPE_TEST_KEY", "test-secret-key"),
};
const UPTIMEROBOT: Vendor = Vendor {
    name: "uptimerobot",
    part: "MonitorsReady",
    called: "UptimeRobot",
    account: ("uptimerobot-spare", "uptimerobot", "keySecret"),
    at: "/monitors/uptime/account",
    credential: ("UPTIMEROBOT_SPARE_KEY", "api-key"),
};
const SENTRY: Vendor = Vendor {
    name: "sentry",
    part: "MonitorsReady",
    called: "Sentry",
    account: ("sentry-spare", "sentry", "tokenSecret"),
    at: "/monitors/sentry/account",
    credential: ("SENTRY_SPARE_TOKEN", "token"),
};

pub fn of_cloudflare(stage: &Stage) -> Outcome<()> {
    CLOUDFLARE.fails_and_recovers(stage)
}

pub fn of_stripe(stage: &Stage) -> Outcome<()> {
    STRIPE.fails_and_recovers(stage)
}

pub fn of_uptimerobot(stage: &Stage) -> Outcome<()> {
    UPTIMEROBOT.fails_and_recovers(stage)
}

pub fn of_sentry(stage: &Stage) -> Outcome<()> {
    SENTRY.fails_and_recovers(stage)
}

impl Vendor {
    fn fails_and_recovers(&self, stage: &Stage) -> Outcome<()> {
        self.make_account(stage)?;
        let app = self.app();
        stage.tenant(&app)?;
        self.apply(stage, json!({}))?;
        stage.live(&app, &app)?;
        self.is_down(stage)?;
        self.throttles(stage)?;
        self.revokes(stage)?;
        stage.kubectl(&["delete", "saas", &app, "-n", &app, "--timeout=120s"]).map(drop)
    }

    fn app(&self) -> String {
        format!("without-{}", self.name)
    }

    fn apply(&self, stage: &Stage, env: Value) -> Outcome<()> {
        let mut spec = all_blocks();
        spec["env"] = env;
        match self.at.rsplit_once('/').and_then(|(block, field)| Some((spec.pointer_mut(block)?, field))) {
            Some((block, field)) => block[field] = json!(self.account.0),
            None => return Err(format!("the spec has no {}", self.at).into()),
        }
        stage.apply(&hello(&self.app(), &self.app(), spec))
    }

    /// An account as the platform's own, with a credential that nobody else uses.
    fn make_account(&self, stage: &Stage) -> Outcome<()> {
        let (name, like, field) = self.account;
        let mut account = stage.json(&["get", "provideraccount", like])?;
        account["metadata"] = json!({"name": name});
        let spec = account["spec"].as_object_mut().ok_or("no spec")?;
        spec.remove("default");
        let block = spec.iter_mut().find(|(key, _)| *key != "allow").ok_or("no vendor")?.1;
        block[field] = json!({"name": name, "key": self.credential.1});
        account.as_object_mut().map(|account| account.remove("status"));
        let held = secret(NAMESPACE, name, &[(self.credential.1, self.credential(stage))]);
        stage.apply(&list(&[held, account]))
    }

    fn credential<'a>(&self, stage: &'a Stage) -> &'a str {
        &stage.env[self.credential.0]
    }

    /// How the vendors' control API names the credential.
    fn fingerprint(&self, stage: &Stage) -> String {
        let digest = Sha256::digest(self.credential(stage));
        digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Every connection ends without an answer. What is changed elsewhere goes live all the same.
    fn is_down(&self, stage: &Stage) -> Outcome<()> {
        self.spoil(stage, json!({"kind": "reset"}))?;
        self.alone_says(stage, ("Unreachable", "did not answer"))?;
        self.apply(stage, json!({"MEANWHILE": self.name}))?;
        shows(stage, &format!("https://{}.example.com/env?name=MEANWHILE", self.app()), "\"set\":true")?;
        self.alone_says(stage, ("Unreachable", "did not answer"))?;
        self.mend(stage)
    }

    /// 429 with Retry-After, which is obeyed.
    fn throttles(&self, stage: &Stage) -> Outcome<()> {
        let since = stage.control("GET", "/clock", json!({}))?;
        let retry = json!({"retry-after": RETRY_AFTER.to_string()});
        self.spoil(stage, json!({"kind": "status", "code": 429, "headers": retry, "body": {}}))?;
        self.alone_says(stage, ("Throttled", "429"))?;
        let calls = || -> Outcome<Vec<i64>> {
            let all = stage.control("GET", &format!("/calls?vendor={}", self.name), json!({}))?;
            let ours = all
                .as_array()
                .cloned()
                .unwrap_or_default()
                .into_iter()
                .filter(|call| call["credential"] == self.fingerprint(stage).as_str() && call["status"] == 429);
            Ok(ours.filter_map(|call| call["time"].as_i64()).collect())
        };
        let times = until(Duration::from_secs(60), || Ok(Some(calls()?).filter(|times| times.len() > 2)))?;
        let gaps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        // Calls that were on their way when the first 429 came are not taken back.
        let late = gaps.iter().filter(|gap| **gap >= RETRY_AFTER * 1000).count();
        assert!(late > 0 && gaps.iter().all(|gap| *gap < 1000 || *gap >= RETRY_AFTER * 1000), "{since} {gaps:?}");
        self.mend(stage)
    }

    fn revokes(&self, stage: &Stage) -> Outcome<()> {
        let which = json!({"vendor": self.name, "credential": self.fingerprint(stage)});
        stage.control("POST", "/credentials/revoke", which.clone())?;
        let advice = format!("ProviderAccount `{}`", self.account.0);
        let said = self.alone_says(stage, ("CredentialDenied", &advice));
        stage.control("POST", "/credentials/restore", which)?;
        said?;
        stage.live(&self.app(), &self.app())
    }

    fn spoil(&self, stage: &Stage, mut fault: Value) -> Outcome<()> {
        fault["vendor"] = json!(self.name);
        fault["credential"] = json!(self.fingerprint(stage));
        fault["times"] = json!(100_000);
        stage.control("POST", "/faults", fault).map(drop)
    }

    fn mend(&self, stage: &Stage) -> Outcome<()> {
        stage.control("DELETE", &format!("/faults?credential={}", self.fingerprint(stage)), json!({}))?;
        stage.live(&self.app(), &self.app())
    }

    /// Only the vendor's part is not ready, and says why, of which account, and what is to be done.
    fn alone_says(&self, stage: &Stage, (reason, words): (&str, &str)) -> Outcome<()> {
        let app = self.app();
        stage.condition((&app, &app), self.part, ("False", reason))?;
        stage.only_part_not_ready((&app, &app), self.part)?;
        let said = stage.condition((&app, &app), self.part, ("False", reason))?;
        let message = said["message"].as_str().unwrap_or_default();
        let named = message.contains(self.called) && message.contains(self.account.0);
        assert!(named && message.contains(words), "{message}");
        let person = reason == "CredentialDenied";
        assert!(message.ends_with("golive tries again by itself") != person, "{message}");
        assert!(!message.contains(self.credential(stage)), "the credential is shown");
        Ok(())
    }
}

/// Seconds that a vendor wants to be left alone for.
const RETRY_AFTER: i64 = 7;
