//! Everything flaps: vendors, the CA, specs, children, the API server and the operator itself. Once it is over, everything
//! is as if nothing had been.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use world::platform::NAMESPACE;
use world::refuse::ACME;

use crate::apps::{all_blocks, hello};
use crate::chance::Random;
use crate::kills::{kill_nine, leader, rows, stands_once};
use crate::stage::{Outcome, Stage};

/// How long everything flaps, in seconds, unless `SOAK_SECONDS` says so.
const SECONDS: u64 = 60;
const SPACE: &str = "soak";
const APPS: [&str; 4] = ["soak0", "soak1", "soak2", "soak3"];
const VENDORS: [&str; 4] = ["cloudflare", "stripe", "uptimerobot", "sentry"];
const SEED: u64 = 0x51_7C_C1_B7_27_22_0A_95;

type Flap = fn(&Stage, &mut Random) -> Outcome<()>;

/// What happens, and how often of a hundred times.
const FLAPS: [(u64, Flap); 7] =
    [(20, vendor), (20, fault), (5, authority), (30, spec), (15, child), (9, operator), (1, server)];

pub fn while_everything_flaps(stage: &Stage) -> Outcome<()> {
    stage.tenant(SPACE)?;
    for name in ["calm"].iter().chain(&APPS) {
        declare(stage, name, json!({}))?;
    }
    stage.live(SPACE, "calm")?;
    let expected = rows(stage, SPACE, "calm")?;
    let flapped = flap(stage, Duration::from_secs(crate::chance::dial("SOAK_SECONDS", SECONDS)));
    heal(stage)?;
    let count = flapped?;
    let healed = Instant::now();
    for name in APPS {
        declare(stage, name, json!({}))?;
    }
    for name in APPS {
        stage.live(SPACE, name)?;
        stands_once(stage, (SPACE, name), &expected)?;
    }
    println!("all stood {:.0} s after the last of {count} flaps", healed.elapsed().as_secs_f64());
    nobody_gave_up(stage)?;
    stage.kubectl(&["delete", "saas", "--all", "-n", SPACE, "--timeout=180s"])?;
    assert!(APPS.iter().all(|name| rows(stage, SPACE, name).is_ok_and(|rows| rows.is_empty())));
    Ok(())
}

fn declare(stage: &Stage, name: &str, change: Value) -> Outcome<()> {
    let mut spec = all_blocks();
    for (pointer, value) in change.as_object().into_iter().flatten() {
        match spec.pointer_mut(pointer) {
            Some(field) => *field = value.clone(),
            None => spec[pointer.trim_start_matches('/')] = value.clone(),
        }
    }
    stage.apply(&hello(SPACE, name, spec))
}

fn flap(stage: &Stage, length: Duration) -> Outcome<usize> {
    let (mut random, end) = (Random(SEED), Instant::now() + length);
    for count in 0.. {
        if Instant::now() > end {
            return Ok(count);
        }
        let mut at = random.below(100);
        for (share, what) in FLAPS {
            if at < share {
                what(stage, &mut random)?;
                break;
            }
            at -= share;
        }
        std::thread::sleep(Duration::from_millis(random.below(1500)));
    }
    Ok(0)
}

/// A vendor refuses connections, or takes them again.
fn vendor(stage: &Stage, random: &mut Random) -> Outcome<()> {
    let (name, state) = (random.pick(&VENDORS), random.pick(&["down", "up", "up"]));
    stage.control("POST", &format!("/vendors/{name}/{state}"), json!({})).map(drop)
}

/// A vendor answers some requests badly, or does what they ask and says nothing.
fn fault(stage: &Stage, random: &mut Random) -> Outcome<()> {
    let code = random.pick(&[429, 500, 502, 503]);
    let status = json!({"kind": "status", "code": code, "headers": {"retry-after": "2"}, "body": {}});
    let gateway = json!({"kind": "status", "code": 502, "body": {}, "apply": true});
    let plain = ["reset", "lost", "malformed"].map(|kind| json!({"kind": kind}));
    let mut fault = random.pick(&[&plain[..], &[status, gateway]].concat());
    fault["vendor"] = json!(random.pick(&VENDORS));
    fault["times"] = json!(1 + random.below(5));
    stage.control("POST", "/faults", fault).map(drop)
}

/// The CA refuses connections for a while.
fn authority(stage: &Stage, random: &mut Random) -> Outcome<()> {
    stage.world.refuse(ACME)?;
    std::thread::sleep(Duration::from_millis(random.below(5000)));
    stage.world.admit(ACME)?;
    Ok(())
}

/// Somebody changes a spec, before what it said last stands.
fn spec(stage: &Stage, random: &mut Random) -> Outcome<()> {
    let changes = [
        json!({"/env": {"FLAP": random.below(1000).to_string()}}),
        json!({"/replicas": 1 + random.below(2)}),
        json!({"/monitors/uptime/everySeconds": 300}),
        json!({"/payments/stripe/webhooks/0/events": ["invoice.paid", "invoice.payment_failed"]}),
        json!({"/monitors/sentry/env": "SENTRY_DSN"}),
    ];
    declare(stage, random.pick(&APPS), random.pick(&changes))
}

/// Somebody deletes what golive keeps.
fn child(stage: &Stage, random: &mut Random) -> Outcome<()> {
    let (kind, name) = (random.pick(&["deployment", "service", "httproute", "networkpolicy"]), random.pick(&APPS));
    stage.kubectl(&["delete", kind, name, "-n", SPACE, "--ignore-not-found", "--wait=false"]).map(drop)
}

fn operator(stage: &Stage, _: &mut Random) -> Outcome<()> {
    kill_nine(stage, &leader(stage)?)
}

fn server(stage: &Stage, _: &mut Random) -> Outcome<()> {
    stage.kill_the_server()
}

fn heal(stage: &Stage) -> Outcome<()> {
    stage.control("DELETE", "/faults", json!({}))?;
    for vendor in VENDORS {
        stage.control("POST", &format!("/vendors/{vendor}/up"), json!({}))?;
    }
    Ok(())
}

/// Those who were killed went with their pods: a container that was started again ended by itself.
fn nobody_gave_up(stage: &Stage) -> Outcome<()> {
    let pods = stage.json(&["get", "pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=golive"])?;
    let statuses = pods["items"].as_array().into_iter().flatten().map(|pod| &pod["status"]["containerStatuses"]);
    let restarts: u64 = statuses.filter_map(|all| all[0]["restartCount"].as_u64()).sum();
    assert!(pods["items"].as_array().is_some_and(|all| !all.is_empty()), "no operator");
    assert_eq!(restarts, 0, "an operator ended by itself");
    Ok(())
}
