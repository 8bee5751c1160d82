//! Smoke checks against a loopback server that misbehaves as told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Place, free_port};

/// What the server does with the n-th request (from 1) for a path.
type Answer = fn(&Request) -> Option<String>;

struct Request {
    line: String,
    body: String,
    count: u32,
    port: u16,
}

/// A server that closes each connection after one answer, and answers nothing at all for `None`.
fn serve(answer: Answer) -> (String, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicU32::new(0));
    let counter = count.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let counter = counter.clone();
            std::thread::spawn(move || converse(&mut stream.unwrap(), answer, &counter, port));
        }
    });
    (format!("http://127.0.0.1:{port}"), count)
}

fn converse(stream: &mut TcpStream, answer: Answer, counter: &AtomicU32, port: u16) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut line, mut length) = (String::new(), 0);
    let _ = reader.read_line(&mut line);
    for header in reader.by_ref().lines().map_while(Result::ok).take_while(|header| !header.is_empty()) {
        if let Some(value) = header.to_lowercase().strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    let _ = reader.read_exact(&mut body);
    let count = counter.fetch_add(1, Ordering::SeqCst) + 1;
    match answer(&Request { line, body: String::from_utf8(body).unwrap(), count, port }) {
        Some(text) => drop(stream.write_all(text.as_bytes())),
        // The other side gives up first.
        None => drop(reader.read(&mut [0])),
    }
}

fn reply(status: &str, body: &str) -> Option<String> {
    Some(format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()))
}

fn redirect(to: &str) -> Option<String> {
    Some(format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"))
}

fn task(base: &str, check: Value, seconds: u64) -> Value {
    json!({"base_url": base, "checks": [check], "deadline_seconds": seconds})
}

#[test]
fn answers_are_compared_by_status_and_text() {
    let place = Place::new("smoke-compare");
    let (base, _) = serve(|request| match request.line.as_str() {
        line if line.starts_with("GET /health ") => reply("200 OK", "{\"ok\": true}"),
        line if line.starts_with("POST /api/session ") && request.body == "{\"plan\":\"pro\"}" => {
            reply("201 Created", "")
        }
        _ => reply("404 Not Found", ""),
    });
    let checks = json!([
        {"name": "health", "path": "/health", "contains": "\"ok\": true"},
        {"name": "session", "method": "POST", "path": "/api/session", "json": {"plan": "pro"}, "status": 201},
        {"name": "gone", "path": "/gone", "status": 404},
    ]);
    let evidence = place.succeed("smoke", &json!({"base_url": base, "checks": checks}));
    let seen: Vec<_> = evidence["checks"].as_array().unwrap().iter().map(|check| check["status"].clone()).collect();
    assert_eq!(seen, [200, 201, 404]);
    let wrong = json!({"name": "health", "path": "/health", "contains": "all is well"});
    let message = place.fail("smoke", &task(&base, wrong, 1), "SmokeFailed");
    assert!(message.contains("without the text \"all is well\""), "{message}");
    let wrong = json!({"name": "health", "path": "/health", "status": 204});
    let message = place.fail("smoke", &task(&base, wrong, 1), "SmokeFailed");
    assert!(message.contains("answered 200 OK instead of 204"), "{message}");
}

#[test]
fn a_slow_start_is_waited_for() {
    let place = Place::new("smoke-slow");
    let (base, count) = serve(|request| match request.count {
        1 | 2 => reply("503 Service Unavailable", ""),
        _ => reply("200 OK", ""),
    });
    let evidence = place.succeed("smoke", &task(&base, json!({"name": "health", "path": "/health"}), 30));
    assert_eq!((&evidence["checks"][0]["attempts"], count.load(Ordering::SeqCst)), (&json!(3), 3));
}

#[test]
fn what_hangs_is_given_up() {
    let place = Place::new("smoke-hang");
    let (base, _) = serve(|_| None);
    let started = Instant::now();
    let check = json!({"name": "health", "path": "/health", "timeout_seconds": 1});
    let message = place.fail("smoke", &task(&base, check, 1), "SmokeFailed");
    assert!(message.contains("no answer within 1 s"), "{message}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let message = place.fail("smoke", &task(&nobody, json!({"name": "health", "path": "/"}), 1), "SmokeFailed");
    assert!(message.contains("refused"), "{message}");
}

#[test]
fn redirects_stay_on_the_host() {
    let place = Place::new("smoke-redirect");
    let (base, _) = serve(|request| match request.line.split(' ').nth(1).unwrap() {
        "/old" => redirect("/new"),
        "/new" => reply("200 OK", "new"),
        "/away" => redirect(&format!("http://localhost:{}/new", request.port)),
        _ => redirect("/loop"),
    });
    place.succeed("smoke", &task(&base, json!({"name": "old", "path": "/old", "contains": "new"}), 5));
    place.succeed("smoke", &task(&base, json!({"name": "old", "path": "/old", "status": 302}), 5));
    let away = json!({"name": "away", "path": "/away", "status": 200});
    let message = place.fail("smoke", &task(&base, away, 1), "SmokeFailed");
    assert!(message.contains("302") && message.contains("localhost") && message.contains("not followed"), "{message}");
    place.succeed("smoke", &task(&base, json!({"name": "away", "path": "/away"}), 5));
    let message = place.fail("smoke", &task(&base, json!({"name": "loop", "path": "/loop"}), 1), "SmokeFailed");
    assert!(message.contains("more than five redirects"), "{message}");
}

#[test]
fn any_status_below_400_is_right_where_none_is_named() {
    let place = Place::new("smoke-any");
    let (base, _) = serve(|request| match request.line.split(' ').nth(1).unwrap() {
        "/made" => reply("201 Created", ""),
        "/none" => reply("204 No Content", ""),
        "/old" => redirect("/gone"),
        "/same" => reply("304 Not Modified", ""),
        "/broken" => reply("500 Internal Server Error", ""),
        _ => reply("410 Gone", ""),
    });
    for path in ["/made", "/none", "/same"] {
        place.succeed("smoke", &task(&base, json!({"name": "any", "path": path}), 5));
    }
    for (path, status) in [("/gone", "410 Gone"), ("/old", "410 Gone"), ("/broken", "500 Internal Server Error")] {
        let message = place.fail("smoke", &task(&base, json!({"name": "any", "path": path}), 1), "SmokeFailed");
        assert!(message.contains(&format!("answered {status} instead of one below 400")), "{message}");
    }
    let check = json!({"name": "made", "path": "/made", "status": 200});
    let message = place.fail("smoke", &task(&base, check, 1), "SmokeFailed");
    assert!(message.contains("answered 201 Created instead of 200"), "{message}");
}

#[test]
fn an_endless_body_is_bounded() {
    let place = Place::new("smoke-endless");
    let (base, _) = serve(|_| Some(format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}end", "x".repeat(1 << 21))));
    let message =
        place.fail("smoke", &task(&base, json!({"name": "big", "path": "/", "contains": "end"}), 1), "SmokeFailed");
    assert!(message.contains("without the text"), "{message}");
}

#[test]
fn a_post_that_was_answered_is_not_sent_twice() {
    let place = Place::new("smoke-post");
    let (base, count) = serve(|_| reply("400 Bad Request", ""));
    let check = json!({"name": "pay", "method": "POST", "path": "/pay", "json": {}});
    place.fail("smoke", &task(&base, check, 5), "SmokeFailed");
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn bad_tasks_are_named() {
    let place = Place::new("smoke-bad");
    let check = json!({"name": "health", "path": "/health"});
    place.fail("smoke", &task("ftp://127.0.0.1", check.clone(), 1), "TaskInvalid");
    let escape = json!({"name": "escape", "path": "@evil.example/"});
    let message = place.fail("smoke", &task("http://127.0.0.1:1", escape, 1), "SmokeFailed");
    assert!(message.contains("must start with /"), "{message}");
}
