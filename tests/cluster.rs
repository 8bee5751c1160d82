//! The operator on a real cluster: installed by its chart, driven by kubectl, judged by foreign tools.
//!
//! Scenarios that keep to applications of their own run side by side: they wait for pods and names far more than they
//! compute. Those that need the operator or a whole vendor for themselves follow, one after the other.

#[path = "cluster/apps.rs"]
mod apps;
#[path = "cluster/canary.rs"]
mod canary;
#[path = "cluster/chance.rs"]
mod chance;
#[path = "cluster/claims.rs"]
mod claims;
#[path = "cluster/csvboard.rs"]
mod csvboard;
#[path = "cluster/downs.rs"]
mod downs;
#[path = "cluster/drift.rs"]
mod drift;
#[path = "cluster/fields.rs"]
mod fields;
#[path = "cluster/inputs.rs"]
mod inputs;
#[path = "cluster/judged.rs"]
mod judged;
#[path = "cluster/kills.rs"]
mod kills;
#[path = "cluster/kinds.rs"]
mod kinds;
#[path = "cluster/lives.rs"]
mod lives;
#[path = "cluster/outages.rs"]
mod outages;
#[path = "cluster/refusals.rs"]
mod refusals;
#[path = "cluster/releases.rs"]
mod releases;
#[path = "cluster/rest.rs"]
mod rest;
#[path = "cluster/rights.rs"]
mod rights;
#[path = "cluster/rotations.rs"]
mod rotations;
#[path = "cluster/soak.rs"]
mod soak;
#[path = "cluster/stage.rs"]
mod stage;

use std::process::ExitCode;
use std::sync::Once;

use libtest_mimic::{Arguments, Failed, Trial};
use stage::{Outcome, Stage, stage};

/// What a scenario is: it finds the stage set, and leaves nothing behind that another would trip over.
type Scenario = (&'static str, fn(&Stage) -> Outcome<()>);

/// Scenarios that disturb nobody; the longest come first.
const SIDE_BY_SIDE: &[Scenario] = &[
    ("csvboard_goes_live_and_foreign_tools_agree", csvboard::goes_live),
    ("releases_pass_every_stage_or_stop_at_the_one_that_failed", releases::pass_or_stop),
    ("every_field_is_added_changed_and_removed", fields::added_changed_and_removed),
    ("without_the_store_backups_say_so_and_recover", downs::of_the_store),
    ("without_cloudflare_everything_else_goes_on", outages::of_cloudflare),
    ("without_stripe_everything_else_goes_on", outages::of_stripe),
    ("without_uptimerobot_everything_else_goes_on", outages::of_uptimerobot),
    ("without_sentry_everything_else_goes_on", outages::of_sentry),
    ("without_the_ca_what_has_a_certificate_goes_on", downs::of_the_ca),
    ("the_server_judges_every_file_alike", judged::every_file),
    ("a_kind_that_arrives_is_used_within_seconds", kinds::that_arrive),
    ("secrets_rotate_by_request_and_by_age", rotations::by_request_and_by_age),
    ("rows_of_others_are_left_alone_or_adopted", claims::rows_of_others),
    ("of_two_that_claim_a_host_the_first_has_it", claims::one_host_for_two),
    ("objects_of_others_keep_their_names_and_fields", claims::objects_of_others),
    ("what_quota_admission_and_others_forbid_is_said_and_made_good", refusals::by_rules_of_others),
    ("a_changed_secret_restarts_exactly_its_consumers", rotations::restart_exactly_the_consumers),
    ("drift_is_repaired_and_told", drift::is_repaired),
    ("the_spec_is_followed_field_by_field_and_deletion_leaves_nothing", lives::field_by_field),
    ("bad_input_is_named_and_nothing_is_half_made", inputs::that_are_bad),
    ("objects_of_rare_kinds_come_and_go", lives::of_rare_kinds),
    ("a_suspended_application_is_left_alone", lives::suspended),
];

/// Scenarios that need a vendor or the operator for themselves, in this order.
const ALONE: &[Scenario] = &[
    ("a_vendor_that_is_down_holds_only_its_part_and_deletions_wait_for_it", downs::each_in_turn),
    ("an_operator_that_is_killed_again_and_again_makes_nothing_twice", kills::again_and_again),
    ("after_everything_flapped_all_is_as_if_nothing_had_been", soak::while_everything_flaps),
    ("a_server_that_forbids_throttles_or_dies_is_outlived", refusals::by_force),
    ("at_rest_nothing_is_written_and_vendors_are_only_listed", rest::nothing_is_written),
    ("every_right_is_used_and_none_is_missing", rights::are_used),
    ("no_secret_is_told_anywhere", canary::no_secret_is_told),
];

/// The applications, with the versions that releases go to.
const IMAGES: &[&str] = &[
    "hello",
    "hello:1.1.0",
    "csvboard",
    "csvboard:2.4.0",
    "csvboard:2.5.0",
    "csvboard:2.5.1-broken",
    "csvboard:2.5.2-broken",
];

/// How many scenarios run at once.
const THREADS: usize = 12;

fn main() -> ExitCode {
    let given = Arguments::from_args();
    let groups = [(SIDE_BY_SIDE, given.test_threads.unwrap_or(THREADS)), (ALONE, 1)];
    let ended = groups.map(|(scenarios, threads)| {
        let arguments = Arguments { test_threads: Some(threads), ..given.clone() };
        libtest_mimic::run(&arguments, scenarios.iter().map(trial).collect()).has_failed()
    });
    if ended.contains(&true) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

static WATCHED: Once = Once::new();

fn trial(&(name, play): &Scenario) -> Trial {
    Trial::test(name, move || {
        let stage = stage(IMAGES)?;
        WATCHED.call_once(|| canary::watch(stage));
        play(stage).map_err(|e| Failed::from(e.to_string()))
    })
}
