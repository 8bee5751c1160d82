//! The ACME client against a real CA, Pebble: every step with a new issuer, as after a crash.

#[path = "acme/dns.rs"]
mod dns;
#[path = "acme/faults.rs"]
mod faults;
#[path = "acme/pebble.rs"]
mod pebble;
#[path = "acme/proxy.rs"]
mod proxy;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use golive::certificate::{Certificate, new_key, renew_at, verify};
use golive::fault::Fault;
use golive::outside::{Outside, Real};
use golive::vendors::acme::{AcmeAccess, ChallengeState, ExternalBinding, Issuer, Kind, Progress, Status};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};

use pebble::{BLOCKED, EAB_ID, EAB_KEY, Options, Outcome, Pebble, names};

/// The real world, which nothing is kept of.
fn outside() -> Arc<dyn Outside> {
    Arc::new(Real::default())
}

/// What the caller persists, and nothing else.
pub struct Desk {
    pub access: AcmeAccess,
    account_key: SecretString,
    key: SecretString,
}

impl Desk {
    pub fn new(access: AcmeAccess) -> Outcome<Desk> {
        Ok(Desk { access, account_key: new_key()?, key: new_key()? })
    }

    /// A new process: only what is persisted is known.
    pub async fn issuer(&self) -> Result<Issuer, Fault> {
        Issuer::open(&outside(), &self.access, &self.account_key).await
    }

    /// Looks until the order has left a status.
    async fn past(&self, url: &str, status: Status) -> Outcome<Progress> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let progress = self.issuer().await?.look(url).await?;
            if progress.status != status {
                return Ok(progress);
            }
            if Instant::now() > deadline {
                return Err(format!("still {status:?}: {progress:?}").into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// From an order to its chain, each step by a new issuer.
    async fn fulfil(&self, pebble: &Pebble, url: &str, kind: Kind) -> Outcome<String> {
        let open = self.issuer().await?.look(url).await?;
        if open.status == Status::Pending {
            pebble.prove(&open.challenges, kind).await?;
            self.issuer().await?.ready(url, |_| kind).await?;
        }
        let proven = self.past(url, Status::Pending).await?;
        assert_eq!(proven.status, Status::Ready, "{proven:?}");
        self.issuer().await?.finalize(url, &self.key, &proven.names).await?;
        let issued = self.past(url, Status::Processing).await?;
        assert_eq!(issued.status, Status::Valid, "{issued:?}");
        Ok(self.issuer().await?.chain(url).await?)
    }

    async fn issue(&self, pebble: &Pebble, wanted: &BTreeSet<String>, kind: Kind) -> Outcome<String> {
        let url = self.issuer().await?.order(wanted, None).await?;
        let chain = self.fulfil(pebble, &url, kind).await?;
        verify(&chain, &self.key, wanted, Timestamp::now())?;
        Ok(chain)
    }
}

#[tokio::test]
async fn dns_proves_names_and_a_wildcard() -> Outcome {
    let pebble = Pebble::start().await?;
    let desk = Desk::new(pebble.access())?;
    let wanted = names(&["example.com", "*.example.com", "api.example.org"]);
    let url = desk.issuer().await?.order(&wanted, None).await?;

    let open = desk.issuer().await?.look(&url).await?;
    assert_eq!((open.status, &open.names), (Status::Pending, &wanted));
    let proofs: Vec<_> = open.challenges.iter().filter(|c| c.kind == Kind::Dns01).collect();
    assert!(proofs.iter().all(|c| c.status == ChallengeState::Pending && c.error.is_none()), "{proofs:?}");
    let at_apex: BTreeSet<_> =
        proofs.iter().filter(|c| c.place() == "_acme-challenge.example.com").map(|c| (c.wildcard, &c.proof)).collect();
    assert_eq!(at_apex.len(), 2, "the name and its wildcard have two values at one place: {proofs:?}");

    let chain = desk.fulfil(&pebble, &url, Kind::Dns01).await?;
    let found = verify(&chain, &desk.key, &wanted, Timestamp::now())?;
    assert_eq!(found.names, wanted);
    assert!(found.covers("anything.example.com") && !found.covers("a.b.example.com"));
    let whole = format!("{chain}{}", pebble.issued_root().await?);
    assert_eq!(verify(&whole, &desk.key, &wanted, Timestamp::now())?, found, "the chain leads to the CA's root");
    Ok(())
}

#[tokio::test]
async fn http_proves_a_name_but_no_wildcard() -> Outcome {
    let pebble = Pebble::start().await?;
    let desk = Desk::new(pebble.access())?;
    let wanted = names(&["app.example.com"]);
    let url = desk.issuer().await?.order(&wanted, None).await?;
    let open = desk.issuer().await?.look(&url).await?;
    let page = open.challenges.iter().find(|c| c.kind == Kind::Http01).ok_or("no http-01")?;
    assert_eq!(page.place(), format!("http://app.example.com/.well-known/acme-challenge/{}", page.token));
    desk.fulfil(&pebble, &url, Kind::Http01).await?;

    let url = desk.issuer().await?.order(&names(&["*.example.com"]), None).await?;
    let fault = desk.issuer().await?.ready(&url, |_| Kind::Http01).await;
    assert!(matches!(&fault, Err(Fault::Rejected(why)) if why.contains("no http-01 for *.example.com")), "{fault:?}");
    Ok(())
}

#[tokio::test]
async fn each_name_is_proven_in_its_own_way() -> Outcome {
    let pebble = Pebble::start().await?;
    let desk = Desk::new(pebble.access())?;
    let url = desk.issuer().await?.order(&names(&["zone.example.com", "elsewhere.example.org"]), None).await?;
    let open = desk.issuer().await?.look(&url).await?.challenges;
    let way = |name: &str| if name == "zone.example.com" { Kind::Dns01 } else { Kind::Http01 };
    for challenge in open.iter().filter(|c| c.kind == way(&c.name)) {
        pebble.prove(std::slice::from_ref(challenge), challenge.kind).await?;
    }
    desk.issuer().await?.ready(&url, way).await?;
    desk.issuer().await?.ready(&url, |_| Kind::Dns01).await?;
    assert_eq!(desk.past(&url, Status::Pending).await?.status, Status::Ready, "one proof for each name is enough");
    Ok(())
}

#[tokio::test]
async fn a_crash_after_any_step_costs_nothing_but_an_order() -> Outcome {
    let pebble = Pebble::start().await?;
    let desk = Desk::new(pebble.access())?;
    let wanted = names(&["a.example.com", "b.example.com"]);
    let account = desk.issuer().await?.account_url().to_string();
    assert_eq!(desk.issuer().await?.account_url(), account, "the key decides on the account");

    let lost = desk.issuer().await?.order(&wanted, None).await?;
    let url = desk.issuer().await?.order(&wanted, None).await?;
    assert_ne!(lost, url, "orders are new each time, hence the URL is stored");
    let open = desk.issuer().await?.look(&url).await?;
    assert_eq!(desk.issuer().await?.look(&url).await?, open, "proofs are the same in each process");
    pebble.prove(&open.challenges, Kind::Dns01).await?;
    for _ in 0..2 {
        desk.issuer().await?.ready(&url, |_| Kind::Dns01).await?;
    }
    assert_eq!(desk.past(&url, Status::Pending).await?.status, Status::Ready);
    desk.issuer().await?.ready(&url, |_| Kind::Dns01).await?;
    for _ in 0..2 {
        desk.issuer().await?.finalize(&url, &desk.key, &wanted).await?;
    }
    assert_eq!(desk.past(&url, Status::Processing).await?.status, Status::Valid);
    desk.issuer().await?.finalize(&url, &desk.key, &wanted).await?;
    let chain = desk.issuer().await?.chain(&url).await?;
    assert_eq!(desk.issuer().await?.chain(&url).await?, chain);
    verify(&chain, &desk.key, &wanted, Timestamp::now())?;
    Ok(())
}

#[tokio::test]
async fn steps_out_of_turn_ask_for_another_look() -> Outcome {
    let pebble = Pebble::start().await?;
    let desk = Desk::new(pebble.access())?;
    let wanted = names(&["early.example.com"]);
    let issuer = desk.issuer().await?;
    let url = issuer.order(&wanted, None).await?;
    let finalized = issuer.finalize(&url, &desk.key, &wanted).await;
    assert!(matches!(&finalized, Err(Fault::Lost(why)) if why.contains("Pending")), "{finalized:?}");
    let chain = issuer.chain(&url).await;
    assert!(matches!(&chain, Err(Fault::Lost(why)) if why.contains("Pending")), "{chain:?}");
    Ok(())
}

#[tokio::test]
async fn renewal_follows_the_ca_and_names_what_it_replaces() -> Outcome {
    let pebble = Pebble::start().await?;
    let desk = Desk::new(pebble.access())?;
    let wanted = names(&["renew.example.com"]);
    let chain = desk.issue(&pebble, &wanted, Kind::Dns01).await?;
    let issuer = desk.issuer().await?;
    let certificate = Certificate::read(&chain)?;

    let window = issuer.window(&chain).await?.ok_or("Pebble has ARI")?;
    let at = renew_at(&certificate, Some(&window), "uid-1");
    assert!(window.start <= at && at < window.end && window.end < certificate.not_after, "{window:?} {at}");
    assert_eq!(window.ask_again, Duration::from_secs(21_600), "the CA's own Retry-After");

    let (start, end) =
        (Timestamp::now() - SignedDuration::from_hours(2), Timestamp::now() - SignedDuration::from_hours(1));
    let now = format!(r#"{{"suggestedWindow":{{"start":"{start}","end":"{end}"}}}}"#);
    pebble.set_window(&chain, &now).await?;
    let window = issuer.window(&chain).await?.ok_or("a window")?;
    assert_eq!((window.start, window.end), (start, end));
    assert!(renew_at(&certificate, Some(&window), "uid-1") < Timestamp::now(), "a window in the past means now");

    let url = issuer.order(&wanted, Some(&chain)).await?;
    let renewed = desk.fulfil(&pebble, &url, Kind::Dns01).await?;
    assert_ne!(renewed, chain);
    let again = issuer.order(&wanted, Some(&chain)).await?;
    assert_ne!(again, url, "what is replaced already can still be ordered anew");
    Ok(())
}

#[tokio::test]
async fn a_window_that_cannot_be_read_is_told_and_a_strange_certificate_has_none() -> Outcome {
    let pebble = Pebble::start().await?;
    let desk = Desk::new(pebble.access())?;
    let chain = desk.issue(&pebble, &names(&["odd.example.com"]), Kind::Dns01).await?;
    let issuer = desk.issuer().await?;
    pebble.set_window(&chain, "no JSON").await?;
    assert!(matches!(issuer.window(&chain).await, Err(Fault::Unreachable(_))));
    assert_eq!(issuer.window(&pebble.ca.server_pem).await?, None, "it names no authority key");
    assert_eq!(issuer.window("no chain").await?, None);

    let other = Pebble::start().await?;
    let elsewhere = Desk::new(other.access())?;
    let stranger = elsewhere.issue(&other, &names(&["odd.example.com"]), Kind::Dns01).await?;
    assert_eq!(issuer.window(&stranger).await?, None, "another CA's certificate");
    issuer.order(&names(&["odd.example.com"]), Some(&stranger)).await?;
    Ok(())
}

#[tokio::test]
async fn a_profile_is_asked_for_and_an_unknown_one_is_rejected() -> Outcome {
    let pebble = Pebble::start().await?;
    let access = AcmeAccess { profile: Some("shortlived".into()), ..pebble.access() };
    let desk = Desk::new(access)?;
    let chain = desk.issue(&pebble, &names(&["short.example.com"]), Kind::Dns01).await?;
    let certificate = Certificate::read(&chain)?;
    let days = certificate.not_after.duration_since(certificate.not_before).as_hours() / 24;
    assert!((5..=6).contains(&days), "{days} days");

    let unknown = Desk::new(AcmeAccess { profile: Some("eternal".into()), ..pebble.access() })?;
    let fault = unknown.issuer().await?.order(&names(&["short.example.com"]), None).await;
    assert!(matches!(&fault, Err(Fault::Rejected(why)) if why.contains("eternal")), "{fault:?}");
    Ok(())
}

#[tokio::test]
async fn an_external_account_is_bound_once_and_found_again() -> Outcome {
    let pebble = Pebble::start_with(Options { eab: true, ..Options::default() }).await?;
    let refused = Desk::new(pebble.access())?.issuer().await.map(drop);
    assert!(matches!(&refused, Err(Fault::Denied(why)) if why.contains("externalAccountRequired")), "{refused:?}");

    let eab = |key: &str| Some(ExternalBinding { id: EAB_ID.into(), key: key.into() });
    let wrong = Desk::new(AcmeAccess { eab: eab("AAAA"), ..pebble.access() })?.issuer().await.map(drop);
    assert!(matches!(&wrong, Err(Fault::Denied(_))), "{wrong:?}");
    let garbled = Desk::new(AcmeAccess { eab: eab("not base64!"), ..pebble.access() })?.issuer().await.map(drop);
    assert!(matches!(&garbled, Err(Fault::Denied(why)) if !why.contains("not base64!")), "{garbled:?}");

    let desk = Desk::new(AcmeAccess { eab: eab(EAB_KEY), ..pebble.access() })?;
    let account = desk.issuer().await?.account_url().to_string();
    desk.issue(&pebble, &names(&["bound.example.com"]), Kind::Dns01).await?;
    assert_eq!(desk.issuer().await?.account_url(), account);
    Ok(())
}

#[tokio::test]
async fn steps_run_side_by_side_on_one_issuer() -> Outcome {
    let pebble = Pebble::start().await?;
    let desk = Desk::new(pebble.access())?;
    let issuer = std::sync::Arc::new(desk.issuer().await?);
    let step = |n: usize| {
        let issuer = issuer.clone();
        tokio::spawn(async move {
            let url = issuer.order(&names(&[&format!("side{n}.example.com")]), None).await?;
            issuer.look(&url).await
        })
    };
    for (n, running) in (0..8).map(step).collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(running.await??.names, names(&[&format!("side{n}.example.com")]));
    }
    Ok(())
}

#[tokio::test]
async fn refused_nonces_are_survived() -> Outcome {
    let pebble = Pebble::start_with(Options { bad_nonces: 20, ..Options::default() }).await?;
    let desk = Desk::new(pebble.access())?;
    for round in 0..4 {
        let wanted = names(&[&format!("a{round}.example.com"), &format!("b{round}.example.com")]);
        desk.issue(&pebble, &wanted, Kind::Dns01).await?;
    }
    Ok(())
}

#[tokio::test]
async fn names_that_are_proven_already_need_no_second_proof() -> Outcome {
    let pebble = Pebble::start_with(Options { reuse: 100, ..Options::default() }).await?;
    let desk = Desk::new(pebble.access())?;
    let wanted = names(&["known.example.com"]);
    desk.issue(&pebble, &wanted, Kind::Http01).await?;
    let url = desk.issuer().await?.order(&wanted, None).await?;
    let progress = desk.issuer().await?.look(&url).await?;
    assert_eq!(progress.status, Status::Ready);
    assert!(progress.challenges.iter().all(|c| c.status == ChallengeState::Valid), "{progress:?}");
    desk.issuer().await?.ready(&url, |_| Kind::Dns01).await?;
    desk.fulfil(&pebble, &url, Kind::Dns01).await?;
    Ok(())
}

#[tokio::test]
async fn a_refused_name_is_named_in_the_cas_words() -> Outcome {
    let pebble = Pebble::start().await?;
    let fault = Desk::new(pebble.access())?.issuer().await?.order(&names(&[BLOCKED]), None).await;
    assert!(matches!(&fault, Err(Fault::Rejected(why)) if why.contains(BLOCKED) && why.contains("rejectedIdentifier")));
    Ok(())
}

#[tokio::test]
async fn a_wrong_proof_fails_the_order_with_the_reason() -> Outcome {
    let pebble = Pebble::start().await?;
    let desk = Desk::new(pebble.access())?;
    let url = desk.issuer().await?.order(&names(&["wrong.example.com"]), None).await?;
    let mut open = desk.issuer().await?.look(&url).await?;
    open.challenges.iter_mut().for_each(|c| c.proof = "somebody else's".into());
    pebble.prove(&open.challenges, Kind::Dns01).await?;
    desk.issuer().await?.ready(&url, |_| Kind::Dns01).await?;
    let failed = desk.past(&url, Status::Pending).await?;
    assert_eq!(failed.status, Status::Invalid);
    let told = failed.challenges.iter().find(|c| c.kind == Kind::Dns01).and_then(|c| c.error.clone());
    assert!(
        told.as_ref().is_some_and(|why| why.contains("Correct value not found") && why.contains("unauthorized")),
        "{failed:?}"
    );
    let finalized = desk.issuer().await?.finalize(&url, &desk.key, &failed.names).await;
    assert!(matches!(&finalized, Err(Fault::Lost(why)) if why.contains("Invalid")), "{finalized:?}");
    Ok(())
}

#[tokio::test]
async fn an_order_of_nobody_or_of_another_account_is_over() -> Outcome {
    let pebble = Pebble::start().await?;
    let (desk, other) = (Desk::new(pebble.access())?, Desk::new(pebble.access())?);
    let url = other.issuer().await?.order(&names(&["theirs.example.com"]), None).await?;
    for foreign in [url.clone(), format!("{}-no-such-order", url)] {
        let seen = desk.issuer().await?.look(&foreign).await?;
        assert_eq!(seen.status, Status::Invalid, "{seen:?}");
        assert!(seen.error.is_some() && seen.challenges.is_empty());
    }
    Ok(())
}

#[tokio::test]
async fn a_changed_address_is_told_to_the_ca() -> Outcome {
    let pebble = Pebble::start().await?;
    let mut desk = Desk::new(pebble.access())?;
    let account = desk.issuer().await?.account_url().to_string();
    desk.access.email = Some("new@example.com".into());
    assert_eq!(desk.issuer().await?.account_url(), account);
    desk.access.email = None;
    desk.issuer().await?;
    desk.access.email = Some("no address".into());
    let refused = desk.issuer().await.map(drop);
    assert!(matches!(&refused, Err(Fault::Rejected(_))), "{refused:?}");
    Ok(())
}

#[tokio::test]
async fn a_long_name_and_an_address_stand_in_no_common_name() -> Outcome {
    let pebble = Pebble::start().await?;
    let desk = Desk::new(pebble.access())?;
    let long = format!("{}.{}.example.com", "a".repeat(40), "b".repeat(40));
    desk.issue(&pebble, &names(&[&long]), Kind::Dns01).await?;
    let chain = desk.issue(&pebble, &names(&["127.0.0.1"]), Kind::Http01).await?;
    assert_eq!(Certificate::read(&chain)?.names, names(&["127.0.0.1"]));
    Ok(())
}

#[tokio::test]
async fn an_access_is_told_from_any_other() -> Outcome {
    let access = AcmeAccess {
        account: "a".into(),
        directory: "https://ca.example/dir".into(),
        email: None,
        roots: Some("one".into()),
        eab: Some(ExternalBinding { id: EAB_ID.into(), key: EAB_KEY.into() }),
        profile: None,
    };
    let others = [
        AcmeAccess { directory: "https://ca.example/other".into(), ..access.clone() },
        AcmeAccess { email: Some("ops@example.com".into()), ..access.clone() },
        AcmeAccess { roots: Some("two".into()), ..access.clone() },
        AcmeAccess { eab: Some(ExternalBinding { id: EAB_ID.into(), key: "other".into() }), ..access.clone() },
        AcmeAccess { profile: Some("shortlived".into()), ..access.clone() },
    ];
    let prints: BTreeSet<_> = others.iter().chain([&access]).map(AcmeAccess::fingerprint).collect();
    assert_eq!(prints.len(), 6);
    assert_eq!(access.clone().fingerprint(), access.fingerprint());
    assert!(prints.iter().all(|print| !print.contains(EAB_KEY)));
    Ok(())
}

#[tokio::test]
async fn no_key_shows_in_a_fault_or_in_debug_output() -> Outcome {
    let pebble = Pebble::start().await?;
    let eab = Some(ExternalBinding { id: EAB_ID.into(), key: EAB_KEY.into() });
    let desk = Desk::new(AcmeAccess { eab, ..pebble.access() })?;
    let issuer = desk.issuer().await?;
    let url = issuer.order(&names(&["quiet.example.com"]), None).await?;
    let broken: SecretString = format!("-----BEGIN PRIVATE KEY-----\nc2VjcmV0{}", middle(&desk.key)).into();
    let said = [
        format!("{issuer:?} {:?} {:?}", desk.access, desk.account_key),
        format!("{:?}", issuer.finalize(&url, &broken, &names(&["quiet.example.com"])).await),
        format!("{:?}", Issuer::open(&outside(), &desk.access, &broken).await),
        format!("{:?}", verify("", &broken, &names(&[]), Timestamp::now())),
        format!("{:?}", verify(&pebble.ca.server_pem, &broken, &names(&[]), Timestamp::now())),
    ];
    for text in &said {
        for secret in [middle(&desk.account_key), middle(&desk.key), EAB_KEY.to_string(), "c2VjcmV0".to_string()] {
            assert!(!text.contains(&secret), "{text}");
        }
    }
    assert!(said[1].contains("Rejected") && said[2].contains("Denied"), "{said:?}");
    Ok(())
}

/// A part of a key in PEM that is the key's alone.
fn middle(key: &SecretString) -> String {
    key.expose_secret().lines().nth(2).unwrap_or_default().to_string()
}
