//! Sentry without sockets.

mod common;

use common::{SENTRY, seed};
use serde_json::{Value, json};
use vendors::clock::Moment;
use vendors::message::{Request, Response};
use vendors::{Config, Vendors};

const TEAM: &str = "/api/0/teams/acme/platform/projects/";

fn open() -> Vendors {
    Vendors::new(&Config::local("unused", seed()))
}

fn call(vendors: &mut Vendors, method: &str, target: &str, body: Value) -> Response {
    let request = Request::new(method, target).header("authorization", &format!("Bearer {SENTRY}"));
    vendors.serve("sentry", Moment(1_800_000_000_000), &request.body(body.to_string())).answer
}

#[test]
fn a_project_comes_with_a_key_whose_dsn_stays_readable() {
    let mut sentry = open();
    let made =
        call(&mut sentry, "POST", TEAM, json!({"name": "csvboard", "slug": "csvboard", "platform": "python-flask"}));
    assert_eq!((made.status, &made.value()["slug"]), (201, &json!("csvboard")));
    let path = "/api/0/projects/acme/csvboard/keys/";
    let keys = call(&mut sentry, "GET", path, Value::Null).value();
    let key = &keys[0];
    assert_eq!((keys.as_array().unwrap().len(), &key["name"]), (1, &json!("Default")));
    let (public, project) = (key["public"].as_str().unwrap(), made.value()["id"].as_str().unwrap().to_string());
    assert_eq!(key["dsn"]["public"], format!("https://{public}@o1.ingest.sentry.io/{project}"));
    assert!(key["dsn"]["secret"].as_str().unwrap().contains(key["secret"].as_str().unwrap()));
    assert_eq!(call(&mut sentry, "GET", path, Value::Null).value(), keys);
}

#[test]
fn keys_are_added_changed_and_taken_away() {
    let mut sentry = open();
    call(&mut sentry, "POST", TEAM, json!({"name": "app"}));
    let path = "/api/0/projects/acme/app/keys/";
    let limit = json!({"window": 3600, "count": 100});
    let made = call(&mut sentry, "POST", path, json!({"name": "golive", "rateLimit": limit}));
    assert_eq!((made.status, &made.value()["rateLimit"]), (201, &limit));
    let one = format!("{path}{}/", made.value()["id"].as_str().unwrap());
    let changed = call(&mut sentry, "PUT", &one, json!({"isActive": false, "rateLimit": null})).value();
    assert_eq!(
        (&changed["isActive"], &changed["rateLimit"], &changed["name"]),
        (&json!(false), &Value::Null, &json!("golive"))
    );
    assert_eq!(call(&mut sentry, "DELETE", &one, Value::Null).status, 204);
    assert_eq!(call(&mut sentry, "DELETE", &one, Value::Null).status, 404);
    assert_eq!(call(&mut sentry, "POST", path, json!({"rateLimit": {"count": 1}})).status, 400);
}

#[test]
fn a_slug_that_is_given_must_be_free_and_one_that_is_not_is_found() {
    let mut sentry = open();
    assert_eq!(call(&mut sentry, "POST", TEAM, json!({"name": "My App"})).value()["slug"], "my-app");
    assert_eq!(call(&mut sentry, "POST", TEAM, json!({"name": "Other", "slug": "my-app"})).status, 409);
    assert_eq!(call(&mut sentry, "POST", TEAM, json!({"name": "My App"})).value()["slug"], "my-app-2");
    for slug in ["Upper", "with space", "12345"] {
        assert_eq!(call(&mut sentry, "POST", TEAM, json!({"name": "x", "slug": slug})).status, 400, "{slug}");
    }
}

#[test]
fn teams_list_their_own_projects_and_slugs_are_taken_for_all() {
    let mut sentry = open();
    let (teams, mobile) = ("/api/0/organizations/acme/teams/", "/api/0/teams/acme/mobile/projects/");
    assert_eq!(call(&mut sentry, "POST", mobile, json!({"name": "app"})).status, 404);
    assert_eq!(call(&mut sentry, "POST", teams, json!({"slug": "mobile"})).value()["id"], "2");
    assert_eq!(call(&mut sentry, "POST", teams, json!({"slug": "mobile"})).status, 409);
    let made = call(&mut sentry, "POST", mobile, json!({"name": "app"})).value();
    assert_eq!(made["teams"][0]["slug"], "mobile");
    assert_eq!(call(&mut sentry, "POST", TEAM, json!({"name": "app", "slug": "app"})).status, 409);
    let mut count = |path: &str| call(&mut sentry, "GET", path, Value::Null).value().as_array().unwrap().len();
    assert_eq!((count(mobile), count(TEAM), count("/api/0/organizations/acme/projects/")), (1, 0, 1));
    let keys = "/api/0/organizations/acme/project-keys/";
    assert_eq!(
        (count(&format!("{keys}?team=mobile")), count(&format!("{keys}?team=platform")), count(keys)),
        (1, 0, 1)
    );
}

#[test]
fn projects_are_listed_changed_and_deleted() {
    let mut sentry = open();
    call(&mut sentry, "POST", TEAM, json!({"name": "app"}));
    let path = "/api/0/projects/acme/app/";
    assert_eq!(
        call(&mut sentry, "PUT", path, json!({"name": "renamed", "platform": "node"})).value()["name"],
        "renamed"
    );
    let listed = call(&mut sentry, "GET", TEAM, Value::Null);
    assert_eq!((listed.value()[0]["platform"].as_str(), listed.head("link").is_some()), (Some("node"), true));
    assert_eq!(call(&mut sentry, "GET", "/api/0/organizations/acme/", Value::Null).value()["slug"], "acme");
    assert_eq!(call(&mut sentry, "DELETE", path, Value::Null).status, 204);
    assert_eq!(call(&mut sentry, "GET", path, Value::Null).status, 404);
    assert_eq!(sentry.inventory(true)["sentry"]["projects"], json!([]));
}

#[test]
fn strangers_and_wrong_places_are_refused() {
    let mut sentry = open();
    for target in
        ["/api/0/teams/other/platform/projects/", "/api/0/teams/acme/other/projects/", "/api/0/projects/acme/none/"]
    {
        assert_eq!(call(&mut sentry, "GET", target, Value::Null).status, 404, "{target}");
    }
    let anonymous = sentry.serve("sentry", Moment(0), &Request::new("GET", TEAM)).answer;
    assert_eq!(
        (anonymous.status, &anonymous.value()["detail"]),
        (401, &json!("Authentication credentials were not provided."))
    );
    let stranger = Request::new("GET", TEAM).header("authorization", "Bearer nobody");
    assert_eq!(sentry.serve("sentry", Moment(0), &stranger).answer.value()["detail"], "Invalid token");
}
