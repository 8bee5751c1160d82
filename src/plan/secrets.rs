//! Values: those that golive generates once and keeps, and the check that everything the application needs is there,
//! is strong, and belongs to this environment.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use super::{Ask, Steps, Verdict};
use crate::api::{Environment, Generate, Rotate, SaasOperation};
use crate::fault::Hold;
use crate::vault::{Note, Vault};

/// Values that examples ship with and that nobody changed.
const PLACEHOLDERS: [&str; 9] = [
    "change-me",
    "changeme",
    "change_me",
    "replace-me",
    "replaceme",
    "your-secret",
    "your_secret",
    "example-secret",
    "xxxx",
];
/// Whole values that are no secret.
const DEFAULTS: [&str; 8] = ["secret", "password", "default", "admin", "dev", "test", "none", "null"];
/// How long a value is kept that no field names any more: an entry may be missing by mistake.
const REGRET: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The least length of a key that signs sessions or tokens.
const KEY_CHARACTERS: usize = 32;

/// Plans the generated values and checks all others.
pub fn plan(ask: Ask<'_>) -> Verdict {
    let vault = ask.world.vault()?;
    let mut steps = Steps::default();
    for generate in ask.generated() {
        ask.generate(generate, vault).into_iter().for_each(|note| steps.note(note));
    }
    ask.tidy(vault).into_iter().for_each(|note| steps.note(note));
    steps.or_wait(ask.values_are_fit());
    steps.or_wait(ask.nothing_missing());
    let kept = vault.values.keys().filter(|env| !vault.ledger.unnamed.contains_key(*env)).count();
    let deleted = if vault.going { "; somebody deleted them: they stay until the SaasDeployment goes" } else { "" };
    steps.evidence = format!("{kept} values kept, {} required and present{deleted}", ask.required().len());
    Ok(steps)
}

impl Ask<'_> {
    fn generated(&self) -> &[Generate] {
        self.saas.spec.secrets.as_ref().map(|secrets| secrets.generate.as_slice()).unwrap_or_default()
    }

    fn required(&self) -> &[String] {
        self.saas.spec.secrets.as_ref().map(|secrets| secrets.require.as_slice()).unwrap_or_default()
    }

    /// The notes that make or rotate one generated value.
    fn generate(self, generate: &Generate, vault: &Vault) -> Vec<Note> {
        let made = vault.ledger.generated.get(&generate.env).copied();
        let old = vault.values.get(&generate.env);
        if let (Some(_), None) = (old, made) {
            return vec![Note::Generated(generate.env.clone(), self.world.now)];
        }
        let due = |days: i32| {
            made.is_some_and(|at| self.world.now.duration_since(at) >= SignedDuration::from_hours(24 * i64::from(days)))
        };
        let asked = made.is_some_and(|at| self.is_rotation_asked_since(&generate.env, at));
        if old.is_some() && !generate.rotate_after_days.is_some_and(due) && !asked {
            return Vec::new();
        }
        let value = derived(&self.world.entropy, &generate.env, usize::try_from(generate.bytes).unwrap_or(32));
        let at = self.time_of_making(&generate.env);
        let mut notes =
            vec![Note::Value(generate.env.clone(), value.into()), Note::Generated(generate.env.clone(), at)];
        if let (Some(env), Some(old)) = (&generate.keep_previous_as, old) {
            notes.push(Note::Value(env.clone(), old.clone()));
        }
        notes
    }

    /// Whether an open request asks for a value to be rotated that was made before the request.
    pub fn is_rotation_asked_since(self, env: &str, made: Timestamp) -> bool {
        self.rotation_asked(env).is_some_and(|asked| asked > made)
    }

    /// The time to note for a value that is made now. The API server dates requests, and its clock may be ahead of ours:
    /// what was made for a request must not be older than it, or it would be made again with each pass.
    pub fn time_of_making(self, env: &str) -> Timestamp {
        self.rotation_asked(env).map_or(self.world.now, |asked| asked.max(self.world.now))
    }

    /// When an open request last asked for a value to be rotated.
    fn rotation_asked(self, env: &str) -> Option<Timestamp> {
        let asked = self.world.operations.iter().filter(|operation| {
            let names = operation.spec.rotate.as_ref().filter(|rotate| self.strange_env(rotate).is_none());
            names.is_some_and(|rotate| rotate.env.iter().any(|name| name == env))
        });
        asked.filter_map(counts_from).max()
    }

    /// Whether the spec wants golive to make a value up.
    pub fn generates(self, env: &str) -> bool {
        self.generated().iter().any(|generate| generate.env == env)
    }

    /// A name in a request that stands for no value of golive's making: then nothing of the request is done.
    pub fn strange_env(self, rotate: &Rotate) -> Option<&String> {
        let webhooks = self.webhooks();
        let made = |env: &&String| self.generates(env) || webhooks.iter().any(|w| w.secret_env == **env);
        rotate.env.iter().find(|env| !made(env))
    }

    /// The notes that follow from what the spec names: a value is dropped late, for nobody can make it again, and what was
    /// encrypted with it cannot be read without.
    fn tidy(self, vault: &Vault) -> Vec<Note> {
        let (unwanted, unnamed) = (self.unwanted(vault), &vault.ledger.unnamed);
        let named = unnamed.keys().filter(|env| self.nameable_env().contains(env));
        let named: Vec<Note> = named.map(|env| Note::Unnamed(env.clone(), None)).collect();
        let left = unwanted.into_iter().filter_map(|env| match unnamed.get(&env) {
            None => Some(Note::Unnamed(env, Some(self.world.now))),
            Some(since) => (self.world.now.duration_since(*since) >= REGRET).then_some(Note::Drop(env)),
        });
        named.into_iter().chain(left).collect()
    }

    /// Values in the vault that no field of the spec names any more, once no pod asks for them and none will again.
    fn unwanted(self, vault: &Vault) -> Vec<String> {
        if !self.is_environment_rolled() || self.proven_before().is_some() {
            return Vec::new();
        }
        let wanted: BTreeSet<String> = self.nameable_env().into_iter().collect();
        vault.values.keys().filter(|env| !wanted.contains(*env)).cloned().collect()
    }

    /// Every env name that the vault may hold by this spec.
    fn nameable_env(self) -> Vec<String> {
        let generated =
            self.generated().iter().flat_map(|g| [Some(g.env.clone()), g.keep_previous_as.clone()]).flatten();
        let mut names: Vec<String> = generated.chain(self.webhook_env()).collect();
        names.extend(self.sentry_env());
        names
    }

    /// The env names that containers take from the vault: all that the spec names, but previous values only where
    /// there is one.
    pub fn kept_env(self) -> Vec<String> {
        let vault = self.world.vault().ok();
        let optional = self.previous_env();
        let there = |name: &String| vault.is_some_and(|v| v.values.contains_key(name));
        let mut names: Vec<String> =
            self.nameable_env().into_iter().filter(|n| !optional.contains(n) || there(n)).collect();
        names.sort();
        names.dedup();
        names
    }

    fn previous_env(self) -> BTreeSet<String> {
        let generated = self.generated().iter().filter_map(|g| g.keep_previous_as.clone());
        let webhooks = self.webhooks().into_iter().filter_map(|w| w.previous_secret_env.clone());
        generated.chain(webhooks).collect()
    }

    /// Values that follow from the spec itself, for a container that listens on this port.
    pub fn computed_env(self, port: Option<i32>) -> Vec<(String, String)> {
        let spec = &self.saas.spec;
        let sqlite = spec.database.as_ref().and_then(|database| database.sqlite.as_ref());
        let database = sqlite.map(|sqlite| (sqlite.env.clone(), sqlite.file.clone()));
        let port = port.map(|port| ("PORT".to_owned(), port.to_string()));
        database.into_iter().chain(port).filter(|(name, _)| !spec.env.contains_key(name)).collect()
    }

    /// Whether containers can be given their whole environment.
    ///
    /// # Errors
    /// Names each variable that is missing, and who is to provide it.
    pub fn nothing_missing(self) -> Result<(), Hold> {
        let vault = self.world.vault()?;
        let pending: Vec<String> = self.kept_env().into_iter().filter(|env| vault.value(env).is_none()).collect();
        let mut known: BTreeSet<String> = self.saas.spec.env.keys().cloned().collect();
        known.extend(
            self.computed_env(Some(self.saas.spec.port)).into_iter().map(|(name, _)| name).chain(self.kept_env()),
        );
        for source in self.sources() {
            known.extend(self.world.source(&source)?.keys().cloned());
        }
        let missing: Vec<&String> = self.required().iter().filter(|name| !known.contains(*name)).collect();
        if !missing.is_empty() {
            let names = quoted(missing);
            let hint = "add them to a Secret of `envFrom`, to `env`, or to `secrets.generate`";
            return Err(Hold::event(
                "KeysMissing",
                format!("`secrets.require` names {names}, which nothing provides: {hint}"),
            ));
        }
        match pending.is_empty() {
            true => Ok(()),
            false => Err(Hold::event("ValuesPending", format!("golive still has to obtain {}", quoted(&pending)))),
        }
    }

    /// Whether the user's values are fit for this environment; no value is ever shown.
    ///
    /// # Errors
    /// Names the first variable that is not.
    pub fn values_are_fit(self) -> Result<(), Hold> {
        for source in self.sources() {
            for (name, value) in self.world.source(&source)? {
                let flaw = flaw(name, value.expose_secret(), self.saas.spec.environment);
                flaw.map_or(Ok(()), |(reason, text)| Err(Hold::event(reason, format!("`{name}` in {source} {text}"))))?;
            }
        }
        let literal: &BTreeMap<String, String> = &self.saas.spec.env;
        literal.iter().try_for_each(|(name, value)| match flaw(name, value, self.saas.spec.environment) {
            Some((reason, text)) => Err(Hold::person(reason, format!("`env.{name}` {text}"))),
            None => Ok(()),
        })
    }
}

/// What is wrong with a value, in words that do not show it.
fn flaw(name: &str, value: &str, environment: Environment) -> Option<(&'static str, String)> {
    let production = environment == Environment::Production;
    let lower = value.trim().to_lowercase();
    let live = ["sk_live_", "rk_live_", "pk_live_"].iter().any(|prefix| value.starts_with(prefix));
    if live && !production {
        let text = format!(
            "is a live Stripe key in environment {environment:?}: use a test key, or set `environment: Production`"
        );
        return Some(("LiveKeyOutsideProduction", text));
    }
    if !production || !is_secret(name) {
        return None;
    }
    if PLACEHOLDERS.iter().any(|p| lower.contains(p)) || DEFAULTS.contains(&lower.as_str()) || lower.is_empty() {
        return Some(("WeakSecret", "is empty or a default that came with an example: set a value of its own".into()));
    }
    let distinct = value.chars().collect::<BTreeSet<_>>().len();
    let signs = ["SECRET_KEY", "JWT_SECRET", "JWT_SECRET_KEY", "SESSION_SECRET"].contains(&name);
    if signs && (value.chars().count() < KEY_CHARACTERS || distinct < 8) {
        let text =
            format!("is too weak to sign with: use at least {KEY_CHARACTERS} random characters, or `secrets.generate`");
        return Some(("WeakSecret", text));
    }
    None
}

/// Whether a variable of this name holds a secret.
fn is_secret(name: &str) -> bool {
    ["SECRET", "PASSWORD", "PASSWD", "TOKEN", "_KEY", "CREDENTIAL"]
        .iter()
        .any(|word| name.to_uppercase().contains(word))
}

fn quoted<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// `bytes` bytes in hex, derived from this pass's randomness for one name.
pub fn derived(entropy: &[u8; 32], name: &str, bytes: usize) -> String {
    let block = |counter: u32| {
        Sha256::new().chain_update(entropy).chain_update(counter.to_be_bytes()).chain_update(name).finalize()
    };
    let blocks = (0u32..).map(block).take(bytes.div_ceil(32));
    let mut text: String = blocks.flat_map(|block| block.to_vec()).map(|byte| format!("{byte:02x}")).collect();
    text.truncate(bytes * 2);
    text
}

/// From when on a value is made for a request. The API server dates requests by whole seconds: what is older than the end of
/// that second may be older than the request. Of one that was taken up before, what was made in that second is the answer: made
/// once more, it would take the place of the value before it.
pub fn counts_from(request: &SaasOperation) -> Option<Timestamp> {
    let dated = Timestamp::from_second(request.metadata.creation_timestamp.as_ref()?.0.as_second()).ok()?;
    let begun = request.status.as_ref().is_some_and(|status| status.start_time.is_some());
    if begun { Some(dated) } else { dated.checked_add(SignedDuration::from_secs(1)).ok() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::SaasDeployment;
    use crate::kinds::Kind;
    use crate::plan::Action;
    use crate::plan::tests::{saas, world};
    use crate::world::World;

    /// `KEY` as it was made a minute before the world's time, and a request for another at this second from then on.
    fn asked_at(second: i64) -> (SaasDeployment, World) {
        let generate = json!({"env": "KEY", "bytes": 32, "keepPreviousAs": "OLD_KEY"});
        let (saas, mut world) = (saas(json!({"secrets": {"generate": [generate]}})), world(&[]));
        let time = |second| Timestamp::from_second(second).unwrap();
        world.now = time(1_800_000_000);
        let mut vault = Vault::default();
        vault.enter(Note::Value("KEY".into(), "first".to_owned().into()));
        vault.enter(Note::Generated("KEY".into(), time(1_799_999_940)));
        world.vault = Ok(vault);
        let request = json!({
            "apiVersion": "golive.dev/v1alpha1", "kind": "SaasOperation",
            "metadata": {"name": "fresh", "namespace": "n", "creationTimestamp": time(1_800_000_000 + second)},
            "spec": {"deployment": "app", "rotate": {"env": ["KEY"]}},
        });
        world.operations.push(serde_json::from_value::<SaasOperation>(request).unwrap());
        (saas, world)
    }

    #[test]
    fn a_generated_value_that_nothing_names_is_kept_for_a_week_and_taken_up_again() {
        let (named, mut world) = asked_at(0);
        let unnamed = saas(json!({}));
        world.operations.clear();
        let value = |world: &World| world.vault.as_ref().unwrap().value("KEY").map(str::to_owned);
        let pass = |saas: &SaasDeployment, world: &mut World| {
            roll(saas, world);
            pass(saas, world)
        };
        assert!(pass(&unnamed, &mut world) && value(&world).is_some(), "it is noted since when nothing names it");
        world.now += SignedDuration::from_hours(6 * 24);
        assert!(!pass(&unnamed, &mut world) && pass(&named, &mut world));
        assert_eq!(value(&world).as_deref(), Some("first"));
        assert!(!pass(&named, &mut world) && pass(&unnamed, &mut world), "a new week begins");
        world.now += SignedDuration::from_hours(6 * 24);
        assert!(!pass(&unnamed, &mut world) && value(&world).is_some());
        world.now += SignedDuration::from_hours(24);
        assert!(pass(&unnamed, &mut world) && value(&world).is_none());
    }

    /// Lets pods run with the environment of now.
    fn roll(saas: &SaasDeployment, world: &mut World) {
        let ask = Ask { saas, world };
        let environment = json!({"golive.dev/environment": ask.environment_hash()});
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": ask.name(), "generation": 1},
            "spec": {"replicas": 0, "template": {"metadata": {"annotations": environment}}},
            "status": {"observedGeneration": 1},
        });
        world.children =
            std::mem::take(&mut world.children).with(Kind::Deployment, serde_json::from_value(deployment).unwrap());
    }

    /// Enters what a pass notes; says whether it noted anything.
    fn pass(saas: &SaasDeployment, world: &mut World) -> bool {
        let steps = super::plan(Ask { saas, world }).ok().unwrap();
        let noted = steps.actions.into_iter().flat_map(|action| match action {
            Action::Note(notes) => notes,
            other => panic!("{other:?}"),
        });
        let mut vault = world.vault.clone().unwrap();
        let changed = noted.filter(|note| vault.enter(note.clone())).count() > 0;
        world.vault = Ok(vault);
        changed
    }

    #[test]
    fn a_request_is_met_once_however_late_our_clock_is() {
        for second in [-30, 0, 300] {
            let (saas, mut world) = asked_at(second);
            assert!(pass(&saas, &mut world), "{second}");
            let made = world.vault.as_ref().unwrap().value("KEY").unwrap().to_owned();
            world.entropy = [1; 32];
            assert!(!pass(&saas, &mut world), "{second}: asked for once");
            let vault = world.vault.as_ref().unwrap();
            assert_eq!((vault.value("KEY"), vault.value("OLD_KEY")), (Some(made.as_str()), Some("first")), "{second}");
        }
    }

    #[test]
    fn a_value_of_the_same_second_is_made_anew_for_a_request() {
        let (saas, mut world) = asked_at(0);
        let made = Note::Generated("KEY".into(), Timestamp::from_millisecond(1_800_000_000_200).unwrap());
        world.vault.as_mut().unwrap().enter(made);
        world.now = Timestamp::from_millisecond(1_800_000_000_900).unwrap();
        let mut begun = World { operations: world.operations.clone(), vault: world.vault.clone(), ..world.clone() };
        assert!(pass(&saas, &mut world) && !pass(&saas, &mut world));
        let status = json!({"observedGeneration": 1, "startTime": "2027-01-15T08:00:00Z"});
        begun.operations[0].status = serde_json::from_value(status).unwrap();
        assert!(!pass(&saas, &mut begun), "it was made for the request");
    }

    #[test]
    fn what_was_made_after_a_request_is_no_older_than_it() {
        let time = |second| {
            let (saas, world) = asked_at(second);
            Ask { saas: &saas, world: &world }.time_of_making("KEY").as_second() - 1_800_000_000
        };
        assert_eq!((time(-30), time(0), time(300)), (0, 1, 301));
        let (saas, world) = asked_at(300);
        assert_eq!(Ask { saas: &saas, world: &world }.time_of_making("OTHER"), world.now);
    }

    #[test]
    fn derived_values_have_the_asked_length_and_differ_by_name() {
        let entropy = [7; 32];
        assert_eq!(derived(&entropy, "A", 48).len(), 96);
        assert_ne!(derived(&entropy, "A", 32), derived(&entropy, "B", 32));
        assert_ne!(derived(&entropy, "A", 32), derived(&[8; 32], "A", 32));
    }

    #[test]
    fn flaws_are_named_without_the_value() {
        let production = Environment::Production;
        let cases = [
            ("SECRET_KEY", "change-me-please-change-me-please-now", production, Some("WeakSecret")),
            ("SECRET_KEY", "short", production, Some("WeakSecret")),
            ("SECRET_KEY", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", production, Some("WeakSecret")),
            ("DB_PASSWORD", "password", production, Some("WeakSecret")),
            ("DB_PASSWORD", "", production, Some("WeakSecret")),
            ("SECRET_KEY", "4fc0a1be27d39586e7b1c2d3f4a59687", production, None),
            ("SECRET_KEY", "4fc0a1be27d39586e7b1c2d3f4a5968", production, Some("WeakSecret")),
            ("SECRET_KEY", "abcdefghabcdefghabcdefghabcdefgh", production, None),
            ("SECRET_KEY", "abcdefgabcdefgabcdefgabcdefgabcdefg", production, Some("WeakSecret")),
            ("GREETING", "change-me", production, None),
            ("SECRET_KEY", "change-me", Environment::Development, None),
            ("STRIPE_SECRET_KEY", "sk_live_abc", Environment::Staging, Some("LiveKeyOutsideProduction")),
            ("STRIPE_SECRET_KEY", "sk_live_abc", production, None),
            ("STRIPE_SECRET_KEY", "sk_test_abc", Environment::Staging, None),
        ];
        for (name, value, environment, expected) in cases {
            let found = flaw(name, value, environment);
            assert_eq!(found.as_ref().map(|(reason, _)| *reason), expected, "{name} in {environment:?}");
            assert!(value.is_empty() || !found.is_some_and(|(_, text)| text.contains(value)), "{name} is shown");
        }
    }

    #[test]
    fn a_value_is_made_anew_once_it_is_as_old_as_the_spec_wants_it() {
        let saas = saas(json!({"secrets": {"generate": [{"env": "KEY", "rotateAfterDays": 30}]}}));
        let rotated = |hours: i64| {
            let (_, mut world) = asked_at(0);
            world.operations.clear();
            world.vault.as_mut().unwrap().enter(Note::Generated("KEY".into(), world.now));
            world.now += SignedDuration::from_hours(hours);
            pass(&saas, &mut world)
        };
        assert!(!rotated(30 * 24 - 1) && rotated(30 * 24));
    }

    #[test]
    fn no_value_is_given_up_while_pods_may_need_it() {
        let unnamed = |rolled: bool, on_trial: bool| {
            let saas = saas(json!({"release": {}}));
            let (_, mut world) = asked_at(0);
            world.operations.clear();
            world.vault.as_mut().unwrap().ledger.proven = on_trial.then(|| "before".to_owned());
            if rolled {
                roll(&saas, &mut world);
            }
            pass(&saas, &mut world)
        };
        assert!(unnamed(true, false));
        assert!(!unnamed(false, false), "pods of the former environment run");
        assert!(!unnamed(true, true), "the revision before may run again");
        assert!(!unnamed(false, true));
    }

    #[test]
    fn pods_do_not_run_with_a_value_that_is_not_fit_wherever_it_comes_from() {
        let fit = |spec: Value| {
            let (saas, mut world) = (saas(spec), world(&[]));
            let values = [("DB_PASSWORD".to_owned(), "password".to_owned().into())].into();
            world.sources.insert(crate::world::Source::Secret("given".into()), Ok(Some(values)));
            let ask = Ask { saas: &saas, world: &world };
            let told = super::plan(ask).ok().unwrap().waits.map(|hold| hold.reason);
            (ask.is_complete().err().map(|hold| hold.reason), told)
        };
        let weak = (Some("WeakSecret"), Some("WeakSecret"));
        assert_eq!(fit(json!({"environment": "Production", "env": {"SECRET_KEY": "change-me"}})), weak);
        assert_eq!(fit(json!({"environment": "Production", "envFrom": [{"secret": "given"}]})), weak);
        assert_eq!(fit(json!({"environment": "Production"})), (None, None));
        assert_eq!(fit(json!({"environment": "Development", "envFrom": [{"secret": "given"}]})), (None, None));
    }
}
