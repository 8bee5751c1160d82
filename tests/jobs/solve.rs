//! The http-01 solver on the wire.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use serde_json::json;

use crate::support::{Place, await_line, eventually, free_port};

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
fn it_is_ready_once_its_proof_is_seen_where_the_ca_will_look() {
    let place = Place::new("solve-seen");
    let (port, elsewhere) = (free_port(), free_port());
    let url = format!("http://localhost:{elsewhere}/.well-known/acme-challenge/tok");
    let task = json!({"answers": {"tok": "tok.thumb"}, "seen_at": {"tok": url}, "port": port});
    let mut child = place.command("solve", &task).spawn().unwrap();
    assert!(await_line(&mut child, "serving"));
    assert_eq!(get(port, "/healthz").0, 503);
    let way = TcpListener::bind(("127.0.0.1", elsewhere)).unwrap();
    let gateway = std::thread::spawn(move || lead_to(&way, port));
    eventually("the proof is seen", || get(port, "/healthz").0 == 200);
    assert_eq!(gateway.join().unwrap(), 2);
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let run = place.finish("solve", child.wait_with_output().unwrap());
    assert_eq!(run.evidence["answered"], json!(0), "its own visits do not count: {}", run.evidence);
}

/// A gateway that first answers by itself and then leads to the solver: the number of requests it took.
fn lead_to(way: &TcpListener, port: u16) -> usize {
    let (mut first, _) = way.accept().unwrap();
    let mut asked = [0; 1024];
    let _ = first.read(&mut asked).unwrap();
    first.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnone").unwrap();
    drop(first);
    let (mut second, _) = way.accept().unwrap();
    let length = second.read(&mut asked).unwrap();
    let mut solver = TcpStream::connect(("127.0.0.1", port)).unwrap();
    solver.write_all(&asked[..length]).unwrap();
    let length = solver.read(&mut asked).unwrap();
    second.write_all(&asked[..length]).unwrap();
    2
}

#[test]
fn a_taken_port_is_named() {
    let place = Place::new("solve-port");
    let taken = std::net::TcpListener::bind("[::]:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let message = place.fail("solve", &json!({"answers": {}, "port": port}), "PortUnavailable");
    assert!(message.contains(&port.to_string()), "{message}");
}
