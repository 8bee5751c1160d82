//! Looking for proofs of http-01, on the wire.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::json;

use crate::support::Place;

/// A gateway that gives these answers, one for each request.
fn gateway(answers: &'static [&'static str]) -> (u16, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = move || {
        for body in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
    };
    (port, std::thread::spawn(serve))
}

fn task(port: u16, seconds: u64) -> serde_json::Value {
    let url = format!("http://localhost:{port}/.well-known/acme-challenge/tok");
    json!({"proofs": {url: "tok.thumb"}, "deadline_seconds": seconds})
}

#[test]
fn it_ends_once_the_proof_is_seen_and_not_before() {
    let (port, served) = gateway(&["the application's own page", "tok.thumb.and-more", "tok.thumb\n"]);
    let run = Place::new("look").run("look", &task(port, 30));
    assert_eq!((&run.evidence["ok"], &run.evidence["seen"]), (&json!(true), &json!(1)), "{}", run.evidence);
    served.join().unwrap();
}

#[test]
fn it_gives_up_and_says_where_it_looked() {
    let (port, _served) = gateway(&["somebody else's page"]);
    let message = Place::new("look-late").fail("look", &task(port, 0), "NotSeen");
    assert!(message.contains(&format!("http://localhost:{port}/")) && message.contains("something else answered"));
}
