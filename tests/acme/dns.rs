//! Questions to name servers: Pebble's own, and small ones that misbehave.

use std::net::SocketAddr;

use golive::dns::{resolve, seen_by};
use golive::fault::Fault;
use golive::rows::RecordType;
use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::TXT;
use hickory_resolver::proto::rr::{RData, Record};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use crate::pebble::{Outcome, Pebble};

#[tokio::test]
async fn each_record_reads_as_it_was_written() -> Outcome {
    let pebble = Pebble::start().await?;
    pebble.control("set-txt", json!({ "host": "_acme-challenge.a.example.com.", "value": "one" })).await?;
    pebble.control("set-txt", json!({ "host": "_acme-challenge.a.example.com.", "value": "two words" })).await?;
    pebble.control("add-a", json!({ "host": "a.example.com.", "addresses": ["192.0.2.7"] })).await?;
    pebble.control("add-aaaa", json!({ "host": "a.example.com.", "addresses": ["2001:db8::7"] })).await?;
    pebble.control("set-cname", json!({ "host": "www.example.com.", "target": "A.Example.com." })).await?;
    pebble.control("set-servfail", json!({ "host": "broken.example.com." })).await?;
    let servers = [pebble.dns.clone()];
    let ask = async |name: &str, kind: RecordType| -> Result<Vec<String>, Fault> {
        Ok(seen_by(&servers, name, &kind).await?.remove(&servers[0]).unwrap_or_default())
    };
    assert_eq!(ask("_acme-challenge.a.example.com", RecordType::Txt).await?, ["one", "two words"]);
    assert_eq!(ask("a.example.com", RecordType::A).await?, ["192.0.2.7"]);
    assert_eq!(ask("a.example.com", RecordType::Aaaa).await?, ["2001:db8::7"]);
    assert_eq!(ask("www.example.com", RecordType::Cname).await?, ["a.example.com"]);
    assert!(ask("none.example.com", RecordType::Txt).await?.is_empty());
    assert!(matches!(ask("broken.example.com", RecordType::A).await, Err(Fault::Unreachable(_))));
    assert!(matches!(ask("a..example.com", RecordType::A).await, Err(Fault::Rejected(_))));
    assert!(matches!(ask("a.example.com", RecordType::Other("NONE-SUCH".into())).await, Err(Fault::Rejected(_))));
    Ok(())
}

#[tokio::test]
async fn servers_are_asked_apart_and_silent_ones_are_left_out() -> Outcome {
    let (one, two) = (server(Manner::Plain("new")).await?, server(Manner::Plain("old")).await?);
    let silent = server(Manner::Silent).await?;
    let servers = [one, two, silent].map(|s| s.to_string());
    let seen = seen_by(&servers, "a.example.com", &RecordType::Txt).await?;
    let expected = [(servers[0].clone(), vec!["new".to_string()]), (servers[1].clone(), vec!["old".to_string()])];
    assert_eq!(seen, expected.into());
    let fault = seen_by(&servers[2..], "a.example.com", &RecordType::Txt).await;
    assert!(matches!(&fault, Err(Fault::Unreachable(why)) if why.contains(&servers[2])), "{fault:?}");
    assert!(matches!(seen_by(&[], "a.example.com", &RecordType::Txt).await, Err(Fault::Unreachable(_))));
    Ok(())
}

#[tokio::test]
async fn a_truncated_answer_is_asked_again_by_tcp() -> Outcome {
    let server = server(Manner::Truncated("long")).await?.to_string();
    let seen = seen_by(std::slice::from_ref(&server), "a.example.com", &RecordType::Txt).await?;
    assert_eq!(seen[&server], ["long"]);
    Ok(())
}

#[tokio::test]
async fn a_lost_datagram_is_sent_again() -> Outcome {
    let server = server(Manner::Lossy("late")).await?.to_string();
    let seen = seen_by(std::slice::from_ref(&server), "a.example.com", &RecordType::Txt).await?;
    assert_eq!(seen[&server], ["late"]);
    Ok(())
}

#[tokio::test]
async fn answers_to_other_questions_are_passed_over() -> Outcome {
    let server = server(Manner::Forged("true", "forged")).await?.to_string();
    let seen = seen_by(std::slice::from_ref(&server), "a.example.com", &RecordType::Txt).await?;
    assert_eq!(seen[&server], ["true"]);
    Ok(())
}

#[tokio::test]
async fn the_systems_resolver_knows_this_machine() -> Outcome {
    let addresses = resolve("localhost").await?;
    assert!(addresses.iter().any(|ip| ip.is_loopback()), "{addresses:?}");
    Ok(())
}

/// How a name server answers.
#[derive(Clone, Copy)]
enum Manner {
    Plain(&'static str),
    Silent,
    Lossy(&'static str),
    Truncated(&'static str),
    Forged(&'static str, &'static str),
}

/// A name server on UDP and TCP; it refuses to recurse, as a zone's own server does.
async fn server(manner: Manner) -> Outcome<SocketAddr> {
    let tcp = TcpListener::bind("127.0.0.1:0").await?;
    let address = tcp.local_addr()?;
    let udp = UdpSocket::bind(address).await?;
    tokio::spawn(serve_udp(udp, manner));
    tokio::spawn(serve_tcp(tcp, manner));
    Ok(address)
}

async fn serve_udp(socket: UdpSocket, manner: Manner) -> Outcome {
    let mut buffer = [0; 4096];
    for nth in 1.. {
        let (length, peer) = socket.recv_from(&mut buffer).await?;
        if nth == 1 && matches!(manner, Manner::Lossy(_)) {
            continue;
        }
        let question = Message::from_vec(&buffer[..length])?;
        for message in datagrams(&question, manner) {
            socket.send_to(&message.to_vec()?, peer).await?;
        }
    }
    Ok(())
}

fn datagrams(question: &Message, manner: Manner) -> Vec<Message> {
    match manner {
        Manner::Plain(text) | Manner::Lossy(text) => vec![reply(question, text)],
        Manner::Silent => vec![],
        Manner::Truncated(_) => {
            let mut cut = reply(question, "");
            cut.answers.clear();
            cut.metadata.truncation = true;
            vec![cut]
        }
        Manner::Forged(text, forged) => {
            let mut other = reply(question, forged);
            other.metadata.id = question.metadata.id.wrapping_add(1);
            let mut elsewhere = reply(question, forged);
            elsewhere.queries.clear();
            vec![other, elsewhere, reply(question, text)]
        }
    }
}

async fn serve_tcp(listener: TcpListener, manner: Manner) -> Outcome {
    loop {
        let (mut stream, _) = listener.accept().await?;
        let mut buffer = vec![0; stream.read_u16().await?.into()];
        stream.read_exact(&mut buffer).await?;
        let Manner::Truncated(text) = manner else { continue };
        let bytes = reply(&Message::from_vec(&buffer)?, text).to_vec()?;
        stream.write_u16(bytes.len().try_into()?).await?;
        stream.write_all(&bytes).await?;
    }
}

fn reply(question: &Message, text: &str) -> Message {
    let mut message = question.clone();
    message.metadata.message_type = MessageType::Response;
    if question.metadata.recursion_desired {
        message.metadata.response_code = ResponseCode::Refused;
        return message;
    }
    let name = question.queries[0].name().clone();
    message.add_answer(Record::from_rdata(name, 60, RData::TXT(TXT::new(vec![text.to_string()]))));
    message
}
