//! The http-01 solver on the wire.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use serde_json::json;

use crate::support::{Place, await_line, free_port};

fn get(port: u16, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: app.example.com\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn challenges_are_answered_until_sigterm() {
    let place = Place::new("solve");
    let port = free_port();
    let mut child =
        place.command("solve", &json!({"answers": {"tok-1_A": "tok-1_A.thumb"}, "port": port})).spawn().unwrap();
    assert!(await_line(&mut child, "serving"));
    assert_eq!(get(port, "/healthz"), (200, "ok\n".into()));
    assert_eq!(get(port, "/.well-known/acme-challenge/tok-1_A"), (200, "tok-1_A.thumb".into()));
    assert_eq!(get(port, "/.well-known/acme-challenge/other").0, 404);
    assert_eq!(get(port, "/").0, 404);
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let run = place.finish("solve", child.wait_with_output().unwrap());
    assert_eq!((&run.evidence["ok"], &run.evidence["answered"]), (&json!(true), &json!(1)), "{}", run.evidence);
}

#[test]
fn a_taken_port_is_named() {
    let place = Place::new("solve-port");
    let taken = std::net::TcpListener::bind("[::]:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let message = place.fail("solve", &json!({"answers": {}, "port": port}), "PortUnavailable");
    assert!(message.contains(&port.to_string()), "{message}");
}
