//! UptimeRobot's API v3, as its official Terraform provider speaks it:
//! <https://github.com/uptimerobot/terraform-provider-uptimerobot>.

mod check;
mod fields;
mod monitor;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::Moment;
use crate::config::UptimeRobotSeed;
use crate::gate::{Headers, Vendor};
use crate::ids::{Ids, named};
use crate::limits::{Limit, Windows, whole_seconds};
use crate::message::{Request, Response};
pub use check::Check;
use fields::Problem;
pub use monitor::Monitor;

/// The smallest paid plan: <https://uptimerobot.com/pricing/>.
pub const MONITORS: usize = 50;
/// Paid plans get two requests a minute for each monitor of the plan: <https://uptimerobot.com/api/>.
const RATE: Limit = Limit::per_minute(2 * MONITORS);
const PAGE: usize = 50;
/// How long a list does not show a change; clients wait minutes for it at worst.
const LAG: Duration = Duration::from_secs(2);

/// One account for each key.
#[derive(Clone, Serialize, Deserialize)]
pub struct State {
    ids: Ids,
    accounts: BTreeMap<String, Account>,
    lag: Duration,
    #[serde(skip)]
    windows: Windows,
}

#[derive(Clone, Default, Serialize, Deserialize)]
struct Account {
    monitors: Vec<Monitor>,
}

type Outcome = Result<Response, Problem>;

impl State {
    /// No accounts yet.
    pub fn new(entropy: &str) -> Self {
        let ids = Ids::new(&format!("uptimerobot/{entropy}"));
        Self { ids, accounts: BTreeMap::new(), lag: LAG, windows: Windows::default() }
    }

    /// Adds the seed's accounts.
    pub fn sow(&mut self, seed: &UptimeRobotSeed) {
        for key in &seed.keys {
            self.accounts.entry(key.clone()).or_default();
        }
    }

    /// Sets how long lists stay behind.
    pub fn set_lag(&mut self, lag: Duration) {
        self.lag = lag;
    }

    fn route(&mut self, now: Moment, request: &Request) -> Outcome {
        let key = request.credential().unwrap_or_default();
        let Some(account) = self.accounts.get_mut(&key) else { return Err(Problem::unauthorized()) };
        account.forget(now, self.lag);
        let segments = request.segments();
        match (request.method.as_str(), segments.as_slice()) {
            ("GET", ["v3", "user", "me"]) => Ok(me(account)),
            ("GET", ["v3", "user", "alert-contacts"]) => Ok(Response::json(200, &json!([contact(&key)]))),
            ("GET", ["v3", "monitors"]) => account.list(now, self.lag, request),
            ("POST", ["v3", "monitors"]) => account.create(&mut self.ids, now, request),
            ("GET", ["v3", "monitors", id]) => account.find(id).map(|monitor| Response::json(200, &monitor.shown())),
            ("PATCH", ["v3", "monitors", id]) => account.change(id, now, request),
            ("DELETE", ["v3", "monitors", id]) => account.delete(id, now),
            (method, _) => Err(Problem::new(404, format!("Cannot {method} {}", request.path))),
        }
    }
}

impl Account {
    fn alive(&self) -> usize {
        self.monitors.iter().filter(|monitor| monitor.fields().is_some()).count()
    }

    /// Drops deleted monitors that no list shows any more.
    fn forget(&mut self, now: Moment, lag: Duration) {
        self.monitors.retain(|monitor| {
            monitor.fields().is_some() || monitor.seen(now, lag).is_some() || monitor.is_fresh(now, lag)
        });
    }

    fn find(&mut self, id: &str) -> Result<&mut Monitor, Problem> {
        let alive = |monitor: &&mut Monitor| monitor.id.to_string() == id && monitor.fields().is_some();
        self.monitors.iter_mut().find(alive).ok_or_else(|| Problem::new(404, "Monitor not found"))
    }

    fn create(&mut self, ids: &mut Ids, now: Moment, request: &Request) -> Outcome {
        let fields = fields::read(&fields::defaults(), &fields::object(request)?)?;
        if self.alive() >= MONITORS {
            return Err(Problem::new(403, format!("Monitor limit reached: your plan allows {MONITORS} monitors"))
                .code("MONITOR_LIMIT"));
        }
        let number = 800_000_000 + ids.number();
        let monitor = Monitor::new(number, fields, now);
        let answer = Response::json(201, &monitor.shown());
        self.monitors.push(monitor);
        Ok(answer)
    }

    fn change(&mut self, id: &str, now: Moment, request: &Request) -> Outcome {
        let monitor = self.find(id)?;
        let old = monitor.fields().cloned().unwrap_or_default();
        monitor.change(fields::read(&old, &fields::object(request)?)?, now);
        Ok(Response::json(200, &monitor.shown()))
    }

    fn delete(&mut self, id: &str, now: Moment) -> Outcome {
        self.find(id)?.delete(now);
        Ok(Response::empty(204))
    }

    fn list(&self, now: Moment, lag: Duration, request: &Request) -> Outcome {
        let cursor = request.param("cursor").map(fields::number).transpose()?.unwrap_or(0);
        let size = request.param("limit").map(fields::number).transpose()?.unwrap_or(PAGE as u64).clamp(1, 200);
        let seen = self.monitors.iter().filter(|monitor| monitor.id > cursor);
        let found = seen.filter_map(|monitor| monitor.listed(now, lag)).filter(|row| monitor::fits(row, request));
        let mut rows: Vec<Value> = found.collect();
        let more = rows.len() > usize::try_from(size).unwrap_or(PAGE);
        rows.truncate(usize::try_from(size).unwrap_or(PAGE));
        let last = rows.last().map(|row| row["id"].clone()).filter(|_| more);
        let next =
            last.as_ref().map(|last| format!("https://api.uptimerobot.com/v3/monitors?cursor={last}&limit={size}"));
        Ok(Response::json(200, &json!({"data": rows, "nextCursorId": last, "nextLink": next})))
    }
}

fn me(account: &Account) -> Response {
    let subscription = json!({"plan": "SOLO", "monitorLimit": MONITORS, "expirationDate": null, "status": "active"});
    let me = json!({
        "email": "owner@example.com", "fullName": "golive world", "monitorsCount": account.alive(),
        "monitorLimit": MONITORS, "smsCredits": 0, "activeSubscription": subscription,
    });
    Response::json(200, &me)
}

/// Every account has one contact: its owner's address.
fn contact(key: &str) -> Value {
    let id = u32::from_str_radix(&named(key, 6), 16).unwrap_or(1);
    json!({
        "id": id, "friendlyName": "owner", "type": "Email", "value": "owner@example.com", "customValue": "",
        "enableNotificationsFor": "UpAndDown", "sslExpirationReminder": true, "mobileProviderId": null,
        "status": "Active", "orgAlertContactId": null, "config": null,
    })
}

impl Vendor for State {
    fn handle(&mut self, now: Moment, request: &Request) -> Response {
        self.route(now, request).unwrap_or_else(|problem| problem.answer())
    }

    fn refuse(&mut self, _request: &Request) -> Response {
        Problem::unauthorized().answer()
    }

    fn throttle(&mut self, now: Moment, request: &Request) -> Result<Headers, Response> {
        let name = request.credential().unwrap_or_default();
        let taken = self.windows.take(&name, RATE, now);
        let reset = whole_seconds(taken.reset);
        let headers = vec![
            ("x-ratelimit-limit".to_string(), RATE.requests.to_string()),
            ("x-ratelimit-remaining".to_string(), taken.remaining.to_string()),
            ("x-ratelimit-reset".to_string(), now.plus(taken.reset).seconds().to_string()),
        ];
        if taken.admitted {
            return Ok(headers);
        }
        let answer = Problem::new(429, "Too Many Requests").answer().with("retry-after", reset);
        Err(headers.iter().fold(answer, |answer, (name, value)| answer.with(name, value)))
    }

    fn inventory(&self, stable: bool) -> Value {
        let monitors = self.accounts.values().flat_map(|account| &account.monitors);
        let mut rows: Vec<Value> = monitors.filter_map(|monitor| monitor.row(stable)).collect();
        rows.sort_by_key(Value::to_string);
        json!({"monitors": rows})
    }
}
