//! A zone and the changes of its records.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::answer::Problem;
use super::record::{Fields, Record};
use super::{RECORDS_PER_ZONE, State, rules};
use crate::clock::Moment;
use crate::ids::{Ids, named};

type Body = Map<String, Value>;

/// A DNS zone on the free plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Zone {
    pub id: String,
    pub name: String,
    pub records: Vec<Record>,
    /// Counts changes: the serial number of the SOA record.
    pub serial: u32,
}

impl Zone {
    /// An empty zone whose identifier depends on its name alone.
    pub fn new(name: &str) -> Self {
        Self { id: named(name, 32), name: name.into(), records: Vec::new(), serial: 1 }
    }

    /// A record by its identifier.
    pub fn record(&self, id: &str) -> Result<&Record, Problem> {
        self.records.iter().find(|record| record.id == id).ok_or_else(Problem::record_unknown)
    }

    /// Adds a record.
    pub fn create(&mut self, body: &Body, ids: &mut Ids, now: Moment) -> Result<&Record, Problem> {
        if self.records.len() >= RECORDS_PER_ZONE {
            return Err(Problem::new(400, 81045, "Record quota exceeded."));
        }
        let fields = Fields::read(body, &self.name)?;
        rules::no_conflict(&fields, None, &self.records)?;
        self.serial += 1;
        self.records.push(Record::new(ids.hex(32), fields, now));
        Ok(&self.records[self.records.len() - 1])
    }

    /// Changes the fields that are given, keeps the others.
    pub fn patch(&mut self, id: &str, body: &Body, now: Moment) -> Result<&Record, Problem> {
        let mut whole = self.record(id)?.fields.written();
        whole.extend(body.clone());
        self.put(id, &whole, now)
    }

    /// Replaces all fields: what is not given falls back to its default.
    pub fn put(&mut self, id: &str, body: &Body, now: Moment) -> Result<&Record, Problem> {
        let place = self.place(id)?;
        let fields = Fields::read(body, &self.name)?;
        rules::no_conflict(&fields, Some(id), &self.records)?;
        self.serial += 1;
        self.records[place].change(fields, now);
        Ok(&self.records[place])
    }

    /// Takes a record out.
    pub fn delete(&mut self, id: &str) -> Result<Record, Problem> {
        let place = self.place(id)?;
        self.serial += 1;
        Ok(self.records.remove(place))
    }

    fn place(&self, id: &str) -> Result<usize, Problem> {
        self.records.iter().position(|record| record.id == id).ok_or_else(Problem::record_unknown)
    }

    /// The zone as the API shows it.
    pub fn shown(&self, state: &State) -> Value {
        json!({
            "id": self.id, "name": self.name, "status": "active", "paused": false, "type": "full",
            "development_mode": 0, "name_servers": state.name_servers, "original_name_servers": null,
            "original_registrar": null, "original_dnshost": null,
            "created_on": "2026-01-02T03:04:05.000000Z", "modified_on": "2026-01-02T03:04:05.000000Z",
            "activated_on": "2026-01-02T03:04:05.000000Z",
            "meta": {"step": 2, "custom_certificate_quota": 0, "page_rule_quota": 3, "phishing_detected": false},
            "owner": {"id": null, "type": "user", "email": null},
            "account": {"id": state.account, "name": "golive world"},
            "tenant": {"id": null, "name": null}, "tenant_unit": {"id": null},
            "permissions": ["#dns_records:edit", "#dns_records:read", "#zone:read"],
            "plan": {
                "id": "0feeeeeeeeeeeeeeeeeeeeeeeeeeeeee", "name": "Free Website", "price": 0, "currency": "USD",
                "frequency": "", "is_subscribed": false, "can_subscribe": false, "legacy_id": "free",
                "legacy_discount": false, "externally_managed": false
            }
        })
    }

    /// All records, sorted; `stable` without identifiers and times.
    pub fn inventory(&self, stable: bool) -> Value {
        let mut rows: Vec<Value> = self.records.iter().map(|record| record.listed(stable)).collect();
        rows.sort_by_key(Value::to_string);
        Value::Array(rows)
    }
}
