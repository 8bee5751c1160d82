//! A CA that throttles, breaks, or loses its answers: what the client makes of it.

use std::time::Duration;

use golive::fault::Fault;
use golive::vendors::acme::{AcmeAccess, Issuer, Kind, Status};
use jiff::{SignedDuration, Timestamp};

use crate::Desk;
use crate::pebble::{Outcome, Pebble, names};
use crate::proxy::{Proxy, Trick};

const ORDER: &str = "/order-plz";
const HTML: &str = "<html><body>Bad gateway: token=hush</body></html>";

async fn desk(pebble: &Pebble) -> Outcome<(Proxy, Desk, Issuer)> {
    let proxy = Proxy::start(pebble).await?;
    let desk = Desk::new(AcmeAccess { directory: proxy.directory.clone(), ..pebble.access() })?;
    let issuer = desk.issuer().await?;
    Ok((proxy, desk, issuer))
}

fn problem(kind: &str) -> String {
    format!(
        r#"{{"type":"urn:ietf:params:acme:error:{kind}","detail":"the CA's words","subproblems":[
        {{"type":"urn:ietf:params:acme:error:dns","detail":"no such zone","identifier":{{"type":"dns","value":"a.example.com"}}}}]}}"#
    )
}

#[tokio::test]
async fn each_answer_has_its_fault() -> Outcome {
    let pebble = Pebble::start().await?;
    let (proxy, _desk, issuer) = desk(&pebble).await?;
    let cases = [
        (400, problem("malformed"), "Rejected", "what was asked cannot be"),
        (400, problem("rejectedIdentifier"), "Rejected", "policy"),
        (403, problem("caa"), "Rejected", "a record forbids it"),
        (400, problem("dns"), "Rejected", "the zone is broken"),
        (409, problem("alreadyReplaced"), "Rejected", "no replacement was asked for here"),
        (403, problem("unauthorized"), "CredentialDenied", "the account may not"),
        (401, problem("externalAccountRequired"), "CredentialDenied", "the account is not bound"),
        (403, problem("userActionRequired"), "CredentialDenied", "new terms"),
        (400, problem("accountDoesNotExist"), "CredentialDenied", "the CA forgot the account"),
        (403, problem("orderNotReady"), "OutcomeUnknown", "look again"),
        (429, problem("rateLimited"), "Throttled", "a limit"),
        (400, problem("rateLimited"), "Throttled", "a limit, with the wrong status"),
        (429, HTML.into(), "Throttled", "a proxy's limit"),
        (503, problem("serverInternal"), "Throttled", "busy"),
        (503, HTML.into(), "Throttled", "busy, says the proxy"),
        (500, problem("serverInternal"), "OutcomeUnknown", "the order may exist"),
        (502, HTML.into(), "OutcomeUnknown", "the order may exist"),
        (403, HTML.into(), "Unreachable", "a firewall is not the CA"),
        (407, "{}".into(), "Unreachable", "JSON, but no problem"),
    ];
    for (status, body, reason, why) in cases {
        proxy.play(Trick::say(ORDER, status, &body));
        let Err(fault) = issuer.order(&names(&["a.example.com"]), None).await else { return Err(why.into()) };
        assert_eq!(fault.reason(), reason, "{why}: {fault}");
        assert!(!fault.to_string().contains("hush") && fault.to_string().contains("letsencrypt"), "{fault}");
        let told =
            fault.to_string().contains("the CA's words") && fault.to_string().contains("a.example.com: no such zone");
        assert_eq!(told, body.contains("words"), "{fault}");
    }
    Ok(())
}

#[tokio::test]
async fn the_wait_is_the_one_that_was_asked_for() -> Outcome {
    let pebble = Pebble::start().await?;
    let (proxy, _desk, issuer) = desk(&pebble).await?;
    let date = Timestamp::now() + SignedDuration::from_secs(600);
    let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&date)?;
    let cases = [("77", 77..=77), (date.as_str(), 590..=600), ("99999999999", 604_800..=604_800), ("soon", 720..=720)];
    for (header, expected) in cases {
        proxy.play(Trick::say(ORDER, 429, &problem("rateLimited")).header("retry-after", header));
        match issuer.order(&names(&["a.example.com"]), None).await {
            Err(Fault::Throttled { after, .. }) => assert!(expected.contains(&after.as_secs()), "{header}: {after:?}"),
            other => return Err(format!("{header}: {other:?}").into()),
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_lost_answer_is_told_from_a_failed_look() -> Outcome {
    let pebble = Pebble::start().await?;
    let (proxy, desk, issuer) = desk(&pebble).await?;
    let wanted = names(&["lost.example.com"]);
    proxy.play(Trick::lose(ORDER));
    assert!(
        matches!(issuer.order(&wanted, None).await, Err(Fault::Lost(_))),
        "the CA has an order that we do not know"
    );

    let url = issuer.order(&wanted, None).await?;
    proxy.play(Trick::lose("/my-order"));
    assert!(matches!(issuer.look(&url).await, Err(Fault::Unreachable(_))), "a look changes nothing");
    proxy.play(Trick::say("/my-order", 404, HTML));
    assert!(matches!(issuer.look(&url).await, Err(Fault::Unreachable(_))), "a proxy's 404 is no word on the order");

    let open = issuer.look(&url).await?;
    pebble.prove(&open.challenges, Kind::Dns01).await?;
    proxy.play(Trick::lose("/chalZ"));
    assert!(matches!(issuer.ready(&url, |_| Kind::Dns01).await, Err(Fault::Lost(_))));
    issuer.ready(&url, |_| Kind::Dns01).await?;
    assert_eq!(desk.past(&url, Status::Pending).await?.status, Status::Ready, "it was told, and once more is no harm");
    proxy.play(Trick::lose("/finalize-order"));
    assert!(matches!(issuer.finalize(&url, &desk.key, &wanted).await, Err(Fault::Lost(_))));
    issuer.finalize(&url, &desk.key, &wanted).await?;
    assert_eq!(desk.past(&url, Status::Processing).await?.status, Status::Valid);
    proxy.play(Trick::lose("/certZ"));
    assert!(matches!(issuer.chain(&url).await, Err(Fault::Unreachable(_))));
    issuer.chain(&url).await?;
    let posts = proxy.seen().iter().filter(|line| line.starts_with("POST /finalize-order")).count();
    assert_eq!(posts, 1, "the transport repeats no POST");
    Ok(())
}

#[tokio::test]
async fn an_order_that_waits_for_us_is_asked_for_once() -> Outcome {
    let pebble = Pebble::start().await?;
    let (proxy, _desk, issuer) = desk(&pebble).await?;
    let url = issuer.order(&names(&["patient.example.com"]), None).await?;
    let open = issuer.look(&url).await?;
    let asked = proxy.seen().len();
    assert_eq!(issuer.look(&url).await?, open);
    assert_eq!(proxy.seen().len(), asked, "nothing but our word moves it");
    pebble.prove(&open.challenges, Kind::Dns01).await?;
    issuer.ready(&url, |_| Kind::Dns01).await?;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while issuer.look(&url).await?.status == Status::Pending {
        assert!(tokio::time::Instant::now() < deadline, "what the CA was told of is looked at again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_ca_that_does_not_repeat_what_is_replaced_is_asked_for_a_plain_order() -> Outcome {
    let pebble = Pebble::start().await?;
    let (proxy, desk, issuer) = desk(&pebble).await?;
    let wanted = names(&["forgetful.example.com"]);
    let chain = desk.issue(&pebble, &wanted, Kind::Dns01).await?;
    let state = r#"{"status":"pending","authorizations":[],"finalize":"https://127.0.0.1:1/f"}"#;
    proxy.play(Trick::say(ORDER, 201, state).header("location", "https://127.0.0.1:1/order"));
    let url = issuer.order(&wanted, Some(&chain)).await?;
    assert_eq!(issuer.look(&url).await?.names, wanted);
    for (kind, status) in [("alreadyReplaced", 409), ("malformed", 404), ("unauthorized", 403)] {
        proxy.play(Trick::say(ORDER, status, &problem(kind)));
        issuer.order(&wanted, Some(&chain)).await?;
    }
    proxy.play(Trick::say(ORDER, 429, &problem("rateLimited")));
    assert!(
        matches!(issuer.order(&wanted, Some(&chain)).await, Err(Fault::Throttled { .. })),
        "not a word on the old one"
    );
    Ok(())
}

#[tokio::test]
async fn an_account_whose_answer_was_lost_is_found_by_its_key() -> Outcome {
    let pebble = Pebble::start().await?;
    let proxy = Proxy::start(&pebble).await?;
    let desk = Desk::new(AcmeAccess { directory: proxy.directory.clone(), ..pebble.access() })?;
    proxy.play(Trick::lose("/sign-me-up"));
    assert!(matches!(desk.issuer().await.map(drop), Err(Fault::Unreachable(_))));
    let first = desk.issuer().await?.account_url().to_string();
    assert_eq!(desk.issuer().await?.account_url(), first);
    Ok(())
}

#[tokio::test]
async fn a_ca_that_lost_its_memory_is_joined_anew() -> Outcome {
    let pebble = Pebble::start().await?;
    let (proxy, desk, issuer) = desk(&pebble).await?;
    let wanted = names(&["again.example.com"]);
    let url = issuer.order(&wanted, None).await?;
    let reborn = Pebble::start().await?;
    proxy.turn_to(&reborn)?;
    let fault = issuer.order(&wanted, None).await;
    assert!(matches!(&fault, Err(Fault::Denied(_))), "the account is unknown: {fault:?}");
    assert_eq!(desk.issuer().await?.look(&url).await?.status, Status::Invalid, "so is the order");
    desk.issue(&reborn, &wanted, Kind::Dns01).await?;
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_no_ca_is_out_of_reach() -> Outcome {
    let pebble = Pebble::start().await?;
    let proxy = Proxy::start(&pebble).await?;
    let desk = Desk::new(AcmeAccess { directory: proxy.directory.clone(), ..pebble.access() })?;
    let answers = [
        (200, HTML.to_string()),
        (404, HTML.into()),
        (301, String::new()),
        (500, HTML.into()),
        (200, "x".repeat(300_000)),
    ];
    for (status, body) in answers {
        proxy.play(Trick::say("/dir", status, &body).header("location", "https://127.0.0.1:1/dir"));
        let fault = desk.issuer().await.map(drop);
        assert!(matches!(&fault, Err(Fault::Unreachable(_))), "{status}: {fault:?}");
    }
    let closed = AcmeAccess { directory: "https://127.0.0.1:1/dir".into(), ..pebble.access() };
    assert!(matches!(Desk::new(closed)?.issuer().await.map(drop), Err(Fault::Unreachable(_))));
    let untrusted = AcmeAccess { roots: None, ..pebble.access() };
    let fault = Desk::new(untrusted)?.issuer().await.map(drop);
    assert!(matches!(&fault, Err(Fault::Unreachable(why)) if why.contains("certificate")), "{fault:?}");
    let bare = AcmeAccess { roots: Some("no PEM".into()), ..pebble.access() };
    let fault = Desk::new(bare)?.issuer().await.map(drop);
    assert!(matches!(&fault, Err(Fault::Denied(why)) if why.contains("no certificate")), "{fault:?}");
    let plain = AcmeAccess { directory: pebble.directory.replace("https", "http"), ..pebble.access() };
    assert!(Desk::new(plain)?.issuer().await.is_err(), "only over HTTPS");
    Ok(())
}

#[tokio::test]
async fn requests_say_who_asks_and_a_window_needs_no_retry_after() -> Outcome {
    let pebble = Pebble::start().await?;
    let (proxy, desk, issuer) = desk(&pebble).await?;
    let chain = desk.issue(&pebble, &names(&["agent.example.com"]), Kind::Dns01).await?;
    let agent = format!(" golive/{}", env!("CARGO_PKG_VERSION"));
    assert!(proxy.seen().iter().all(|line| line.ends_with(&agent)), "{:?}", proxy.seen());

    let window = r#"{"suggestedWindow":{"start":"2026-01-02T04:00:00Z","end":"2026-01-03T04:00:00Z"}}"#;
    for (header, seconds) in [(None, 21_600), (Some("1"), 60), (Some("604800"), 86_400)] {
        let trick = Trick::say("/draft-ietf-acme-ari", 200, window);
        proxy.play(header.into_iter().fold(trick, |t, value| t.header("retry-after", value)));
        let found = issuer.window(&chain).await?.ok_or("a window")?;
        assert_eq!(found.ask_again, Duration::from_secs(seconds), "{header:?}");
    }
    proxy.play(Trick::say("/draft-ietf-acme-ari", 404, &problem("malformed")));
    assert_eq!(issuer.window(&chain).await?, None);
    proxy.play(Trick::say("/draft-ietf-acme-ari", 404, HTML));
    assert!(matches!(issuer.window(&chain).await, Err(Fault::Unreachable(_))), "a proxy's 404 is no word on it");
    proxy.play(Trick::say("/draft-ietf-acme-ari", 503, HTML).header("retry-after", "30"));
    assert!(matches!(issuer.window(&chain).await, Err(Fault::Throttled { after, .. }) if after.as_secs() == 30));
    Ok(())
}

/// The order's URL is kept where tenants can write.
#[tokio::test]
async fn an_order_that_is_not_at_the_ca_is_not_asked_for() -> Outcome {
    let pebble = Pebble::start().await?;
    let desk = Desk::new(pebble.access())?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let elsewhere = format!("https://{}/order", listener.local_addr()?);
    let issuer = desk.issuer().await?;
    let seen = issuer.look(&elsewhere).await?;
    assert_eq!(seen.status, Status::Invalid, "{seen:?}");
    assert!(seen.error.as_deref().is_some_and(|why| why.contains("is not at this CA")), "{seen:?}");
    for step in [issuer.ready(&elsewhere, |_| Kind::Dns01).await, issuer.chain(&elsewhere).await.map(drop)] {
        assert!(matches!(&step, Err(Fault::Rejected(why)) if why.contains("is not at this CA")), "{step:?}");
    }
    let called = tokio::time::timeout(Duration::from_millis(1), listener.accept()).await;
    assert!(called.is_err(), "nobody connected");
    Ok(())
}
