//! Chains made for the purpose, and each way in which one is unfit to be served.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SerialNumber, date_time_ymd};
use secrecy::{ExposeSecret, SecretString};

use super::*;

type Tested = Result<(), Box<dyn std::error::Error>>;

const NAMES: [&str; 3] = ["example.com", "*.example.com", "192.0.2.1"];

/// A root, an intermediate below it, and a leaf with its key, all of 2026.
struct Made {
    root: String,
    middle: String,
    leaf: String,
    key: SecretString,
}

impl Made {
    fn chain(&self) -> String {
        format!("{}{}{}", self.leaf, self.middle, self.root)
    }
}

fn params(names: &[&str], common_name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names.iter().map(|n| n.to_string()).collect::<Vec<_>>())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2026, 4, 1));
    Ok(params)
}

fn authority(common_name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = params(&[], common_name)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Ok(params)
}

fn made(middle: CertificateParams) -> Result<Made, rcgen::Error> {
    let root = CertifiedIssuer::self_signed(authority("root")?, KeyPair::generate()?)?;
    let middle = CertifiedIssuer::signed_by(middle, KeyPair::generate()?, &root)?;
    let key = KeyPair::generate()?;
    let mut leaf = params(&NAMES, "leaf")?;
    leaf.serial_number = Some(SerialNumber::from_slice(&[0x0a, 0xff]));
    let leaf = leaf.signed_by(&key, &middle)?;
    Ok(Made { root: root.pem(), middle: middle.pem(), leaf: leaf.pem(), key: key.serialize_pem().into() })
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn names(list: &[&str]) -> BTreeSet<String> {
    list.iter().map(|n| n.to_string()).collect()
}

#[test]
fn a_leaf_says_what_it_is() -> Tested {
    let made = made(authority("middle")?)?;
    let found = verify(&made.chain(), &made.key, &names(&NAMES), at("2026-02-01T00:00:00Z"))?;
    assert_eq!(found, Certificate::read(&made.leaf)?);
    assert_eq!(found.names, names(&NAMES));
    assert_eq!((found.not_before, found.not_after), (at("2026-01-01T00:00:00Z"), at("2026-04-01T00:00:00Z")));
    assert_eq!((found.issuer.as_str(), found.serial.as_str()), ("CN=middle", "0aff"));
    assert_eq!(found.key_id.len(), 64);
    Ok(())
}

#[test]
fn names_are_covered_by_themselves_or_by_a_wildcard_one_label_up() -> Tested {
    let leaf = Certificate::read(&made(authority("middle")?)?.leaf)?;
    let covered = ["example.com", "Example.COM", "*.example.com", "a.example.com", "192.0.2.1"];
    let others = ["a.b.example.com", "example.org", "com", "192.0.2.2", "*.a.example.com", ""];
    assert!(covered.iter().all(|n| leaf.covers(n)));
    assert!(others.iter().all(|n| !leaf.covers(n)));
    Ok(())
}

#[test]
fn each_defect_is_told() -> Tested {
    let (good, other) = (made(authority("middle")?)?, made(authority("middle")?)?);
    let imposter = made(params(&[], "middle")?)?;
    let mut forged = authority("middle")?;
    forged.not_after = date_time_ymd(2026, 1, 15);
    let lapsed = made(forged)?;
    let day = "2026-02-01T00:00:00Z";
    let cases = [
        (good.chain(), &other.key, day, "another private key", "the key is another's"),
        (good.chain(), &good.key, "2025-12-31T23:59:59Z", "yet to come", "too early"),
        (good.chain(), &good.key, "2026-04-01T00:00:01Z", "is over", "too late"),
        (format!("{}{}", lapsed.leaf, lapsed.middle), &lapsed.key, day, "CN=middle", "the intermediate has lapsed"),
        (format!("{}{}", good.leaf, good.root), &good.key, day, "out of order", "the intermediate is missing"),
        (format!("{}{}", good.leaf, other.middle), &good.key, day, "did not sign", "an intermediate of the same name"),
        (format!("{}{}", imposter.leaf, imposter.middle), &imposter.key, day, "not a CA", "a leaf that signs"),
        (format!("{}{}", good.middle, good.leaf), &good.key, day, "another private key", "the wrong way around"),
        (String::new(), &good.key, day, "no certificate", "nothing at all"),
        (good.key.expose_secret().into(), &good.key, day, "no certificate", "a key instead of a chain"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into(),
            &good.key,
            day,
            "cannot be read",
            "noise",
        ),
        ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n".into(), &good.key, day, "not PEM", "not base64"),
        (good.leaf.repeat(11), &good.key, day, "more than 10", "a chain of many"),
        (" ".repeat(65_537), &good.key, day, "more than 65536", "a large text"),
    ];
    for (chain, key, now, expected, reason) in cases {
        let told = verify(&chain, key, &names(&NAMES), at(now)).err().ok_or(reason)?;
        assert!(told.contains(expected), "{reason}: {told}");
        assert!(!told.contains("PRIVATE"), "{told}");
    }
    let told = verify(&good.chain(), &good.key, &names(&["example.com", "example.org"]), at(day));
    assert_eq!(told, Err("the certificate does not cover example.org".into()));
    let told = verify(&good.chain(), &"no key".to_string().into(), &names(&[]), at(day));
    assert_eq!(told, Err("the private key cannot be read".into()));
    Ok(())
}

#[test]
fn a_key_is_new_each_time_and_fits_what_is_made_with_it() -> Tested {
    let (one, two) = (new_key()?, new_key()?);
    assert_ne!(one.expose_secret(), two.expose_secret());
    let own = params(&NAMES, "self")?.self_signed(&KeyPair::from_pem(one.expose_secret())?)?;
    verify(&own.pem(), &one, &names(&NAMES), at("2026-02-01T00:00:00Z"))?;
    Ok(())
}

fn window(start: &str, end: &str) -> Window {
    Window { start: at(start), end: at(end), ask_again: std::time::Duration::from_secs(21_600) }
}

#[test]
fn renewal_falls_into_the_window_or_after_two_thirds() -> Tested {
    let leaf = Certificate::read(&made(authority("middle")?)?.leaf)?;
    let two_thirds = at("2026-03-01T23:59:59Z");
    let wished = window("2026-02-10T00:00:00Z", "2026-02-12T00:00:00Z");
    let picks: BTreeSet<_> = (0..200).map(|n| renew_at(&leaf, Some(&wished), &format!("uid-{n}"))).collect();
    assert!(picks.iter().all(|at| wished.start <= *at && *at < wished.end));
    assert!(picks.len() > 190, "seeds spread: {} of 200", picks.len());
    let early = picks.iter().filter(|t| **t < at("2026-02-11T00:00:00Z")).count();
    assert!((60..140).contains(&early), "evenly: {early} of 200 in the first half");
    assert_eq!(renew_at(&leaf, Some(&wished), "uid-1"), renew_at(&leaf, Some(&wished), "uid-1"));

    let past = window("2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z");
    assert!(renew_at(&leaf, Some(&past), "uid-1") < past.end, "a window in the past: at once");
    for (no_guidance, reason) in [
        (None, "the CA has no wish"),
        (Some(window("2026-02-12T00:00:00Z", "2026-02-10T00:00:00Z")), "it ends before it starts"),
        (Some(window("2026-02-12T00:00:00Z", "2026-02-12T00:00:00Z")), "it is empty"),
        (Some(window("2026-02-12T00:00:00Z", "2027-02-12T00:00:00Z")), "it ends after the certificate"),
    ] {
        let at = renew_at(&leaf, no_guidance.as_ref(), "uid-1");
        let (late, twentieth) = (at.duration_since(two_thirds), SignedDuration::from_hours(90 * 24 / 20));
        assert!((-SignedDuration::from_secs(1)..=twentieth).contains(&late), "{reason}: {at}");
    }
    Ok(())
}

#[test]
fn a_fleet_that_was_issued_at_once_is_not_renewed_at_once() -> Tested {
    let leaf = Certificate::read(&made(authority("middle")?)?.leaf)?;
    let wished = window("2026-02-10T00:00:00Z", "2026-02-12T00:00:00Z");
    for (window, hours) in [(Some(&wished), 48), (None, 90 * 24 / 20)] {
        let mut slots = std::collections::BTreeMap::<i64, usize>::new();
        for number in 0..10_000 {
            let at = renew_at(&leaf, window, &format!("{number:012x}"));
            *slots.entry(at.as_second() / 600).or_default() += 1;
        }
        let (busiest, mean) = (slots.values().max().copied().unwrap_or_default(), 10_000 / (6 * hours));
        assert!(busiest <= 3 * mean, "{busiest} in ten minutes where {mean} are the mean");
    }
    Ok(())
}

mod orders {
    use super::super::ledger::*;
    use super::*;

    const NOW: &str = "2026-06-15T12:00:00Z";
    const EXEMPT: Terms = Terms { exempt: true, lifetime: None };

    fn order(hours_ago: i64, list: &[&str], outcome: Outcome) -> Attempt {
        let at = at(NOW) - SignedDuration::from_hours(hours_ago);
        Attempt { at, names: names(list), outcome, replaces: false }
    }

    fn issued(hours_ago: &[i64]) -> Vec<Attempt> {
        hours_ago.iter().map(|h| order(*h, &["a.example.com"], Outcome::Issued)).collect()
    }

    fn failed(count: usize, minutes_ago: i64) -> Vec<Attempt> {
        let last = at(NOW) - SignedDuration::from_mins(minutes_ago);
        let attempt = |n: usize| Attempt {
            at: last - SignedDuration::from_hours(n as i64),
            ..order(0, &["a.example.com"], Outcome::Failed)
        };
        (0..count).map(attempt).collect()
    }

    #[test]
    fn five_certificates_a_week_for_one_set_of_names() {
        let cases = [
            (issued(&[]), None, "nothing was ordered"),
            (issued(&[1, 2, 3, 4]), None, "the fifth"),
            (issued(&[1, 2, 3, 4, 167]), Some(1), "the sixth waits for the first to be a week old"),
            (issued(&[167, 4, 3, 2, 1]), Some(1), "in any order"),
            (issued(&[1, 2, 3, 4, 168]), None, "a week is over"),
            (issued(&[1, 2, 3, 4, 5, 100]), Some(163), "more than five: until only four are left"),
            (
                [issued(&[1, 2, 3, 4]), vec![order(0, &["a.example.com"], Outcome::Open)]].concat(),
                Some(164),
                "an open one may be issued",
            ),
            (
                [issued(&[1, 2, 3, 4]), vec![order(5, &["a.example.com", "b.example.com"], Outcome::Issued)]].concat(),
                None,
                "another set",
            ),
        ];
        for (ledger, hours, reason) in cases {
            let told = may_order(&ledger, &names(&["a.example.com"]), Terms::default(), at(NOW));
            let until = hours.map(|h| at(NOW) + SignedDuration::from_hours(h));
            assert_eq!(told.as_ref().err().map(|w| w.until), until, "{reason}");
            assert!(told.err().is_none_or(|w| w.reason == "DuplicateLimit" && w.message.contains('5')), "{reason}");
            assert_eq!(
                may_order(&ledger, &names(&["a.example.com"]), EXEMPT, at(NOW)),
                Ok(()),
                "renewals are exempt: {reason}"
            );
        }
    }

    #[test]
    fn renewals_do_not_count() {
        let renewals =
            issued(&[1, 2, 3, 4, 5]).into_iter().map(|a| Attempt { replaces: true, ..a }).collect::<Vec<_>>();
        assert_eq!(may_order(&renewals, &names(&["a.example.com"]), Terms::default(), at(NOW)), Ok(()));
    }

    #[test]
    fn no_more_than_three_renewals_of_one_set_of_names_in_a_day() {
        let renewals =
            |hours: &[i64]| issued(hours).into_iter().map(|a| Attempt { replaces: true, ..a }).collect::<Vec<_>>();
        let may = |hours: &[i64]| may_order(&renewals(hours), &names(&["a.example.com"]), EXEMPT, at(NOW));
        assert_eq!((may(&[1, 2]), may(&[1, 2, 24])), (Ok(()), Ok(())));
        let wait = may(&[1, 2, 3]).unwrap_err();
        assert_eq!((wait.reason, wait.until), ("DuplicateLimit", at(NOW) + SignedDuration::from_hours(21)));
        assert_eq!(
            may_order(&renewals(&[1, 2, 3]), &names(&["b.example.com"]), EXEMPT, at(NOW)),
            Ok(()),
            "of other names"
        );
    }

    #[test]
    fn what_lasts_for_hours_is_renewed_as_often_as_it_has_to_be() {
        let hours = |hours| Some(SignedDuration::from_hours(hours));
        let may = |ledger: &[Attempt], terms| may_order(ledger, &names(&["a.example.com"]), terms, at(NOW)).is_ok();
        let each_sixteen: Vec<Attempt> = issued(&(0..10).map(|n| 16 * n).collect::<Vec<_>>());
        assert!(may(&each_sixteen, Terms { exempt: false, lifetime: hours(24) }));
        assert!(!may(&each_sixteen, Terms { exempt: false, lifetime: hours(24 * 90) }));
        let each_four: Vec<Attempt> =
            issued(&[1, 5, 9, 13]).into_iter().map(|a| Attempt { replaces: true, ..a }).collect();
        assert!(may(&each_four, Terms { exempt: true, lifetime: hours(6) }));
        assert!(!may(&each_four, Terms { exempt: true, lifetime: hours(24 * 90) }));
    }

    #[test]
    fn failures_back_off_from_twelve_minutes_to_a_day() {
        let minutes = [(1, 12), (2, 24), (3, 48), (4, 96), (5, 192), (6, 384), (7, 768), (8, 1440), (30, 1440)];
        for (count, wait) in minutes {
            for replaces in [false, true] {
                let told = may_order(
                    &failed(count, 1),
                    &names(&["a.example.com"]),
                    Terms { exempt: replaces, lifetime: None },
                    at(NOW),
                );
                let until = at(NOW) + SignedDuration::from_mins(wait - 1);
                assert_eq!(
                    told.as_ref().err().map(|w| (w.reason, w.until)),
                    Some(("OrderFailed", until)),
                    "{count} failures"
                );
                assert_eq!(
                    may_order(
                        &failed(count, wait),
                        &names(&["a.example.com"]),
                        Terms { exempt: replaces, lifetime: None },
                        at(NOW)
                    ),
                    Ok(()),
                    "{count}"
                );
            }
        }
    }

    #[test]
    fn a_success_ends_the_back_off_and_strangers_do_not_start_one() {
        let mut ledger = failed(6, 10);
        assert!(
            may_order(&ledger, &names(&["a.example.com", "new.example.com"]), Terms::default(), at(NOW)).is_err(),
            "a shared name"
        );
        assert_eq!(may_order(&ledger, &names(&["other.example.com"]), Terms::default(), at(NOW)), Ok(()));
        ledger.push(order(0, &["a.example.com"], Outcome::Issued));
        assert_eq!(may_order(&ledger, &names(&["a.example.com"]), Terms::default(), at(NOW)), Ok(()));
        ledger.push(Attempt {
            at: at(NOW) + SignedDuration::from_mins(1),
            ..order(0, &["a.example.com"], Outcome::Failed)
        });
        let told = may_order(&ledger, &names(&["a.example.com"]), Terms::default(), at(NOW)).map_err(|w| w.until);
        assert_eq!(told, Err(at(NOW) + SignedDuration::from_mins(13)), "the count starts anew");
    }

    #[test]
    fn the_later_wait_is_told() {
        let ledger = [issued(&[1, 2, 3, 4, 5]), vec![order(0, &["a.example.com"], Outcome::Failed)]].concat();
        let told = may_order(&ledger, &names(&["a.example.com"]), Terms::default(), at(NOW)).map_err(|w| w.reason);
        assert_eq!(told, Err("DuplicateLimit"));
    }

    #[test]
    fn the_ledger_is_bounded_and_the_newest_stay() {
        let ledger = (0..100).fold(Vec::new(), |l, n| remember(l, order(100 - n, &["a.example.com"], Outcome::Issued)));
        assert_eq!(ledger.len(), 32);
        let long: Vec<String> = (0..100).map(|n| format!("{n:0>3}{}", "x".repeat(250))).collect();
        let long: Vec<&str> = long.iter().map(String::as_str).collect();
        let heavy = (0..32).fold(Vec::new(), |l, n| remember(l, order(32 - n, &long, Outcome::Failed)));
        assert_eq!((heavy.len(), heavy.last().map(|a| a.at)), (5, Some(at(NOW) - SignedDuration::from_hours(1))));
        assert!(ledger.is_sorted_by_key(|a| a.at));
        assert_eq!(ledger.last().map(|a| a.at), Some(at(NOW) - SignedDuration::from_hours(1)));
        let text = serde_json::to_string(&ledger).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Attempt>>(&text).unwrap(), ledger);
    }
}

#[test]
fn no_chain_breaks_the_reader() -> Tested {
    let made = made(authority("middle")?)?;
    let chain = made.chain();
    let (mut read, now) = (0, at("2026-02-01T00:00:00Z"));
    crate::fuzz::texts(&[&chain, &made.leaf, made.key.expose_secret()], 1_000, |text| {
        read += usize::from(Certificate::read(text).is_ok());
        drop(verify(text, &made.key, &names(&NAMES), now));
    });
    assert!(read > 10, "{read}");
    // Below the armour: the same with mutants of the certificate itself.
    let der = CertificateDer::from_pem_slice(made.leaf.as_bytes())?;
    crate::fuzz::bytes(&[der.as_ref()], 3_000, |mutant| {
        let mutant = CertificateDer::from(mutant.to_vec());
        drop(parse(&mutant).and_then(|certificate| leaf(&certificate)));
    });
    let mut unreadable = 0;
    crate::fuzz::texts(&[made.key.expose_secret()], 300, |key| {
        unreadable += usize::from(verify(&chain, &key.to_owned().into(), &names(&NAMES), now).is_err());
    });
    assert!(unreadable > 100, "{unreadable}");
    Ok(())
}
