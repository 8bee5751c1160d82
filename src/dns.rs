//! Questions to name servers: what a zone's own servers say now, and what the system's resolver says.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use futures::future::join_all;
use hickory_resolver::Resolver;
use hickory_resolver::proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, RecordType as WireType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::fault::{Fault, Seen};
use crate::rows::RecordType;

const TIMEOUT: Duration = Duration::from_secs(3);
/// Datagrams get lost.
const RESEND: Duration = Duration::from_millis(800);
/// A zone has at most thirteen name servers in practice.
const MAX_SERVERS: usize = 16;
/// What every path carries unfragmented (<https://www.dnsflagday.net/2020/>).
const MAX_UDP: u16 = 1232;

/// What each of a zone's name servers answers, asked directly: no cache, no recursion, no alias followed.
///
/// A server is a host name, an address, or an address with a port. A server that does not answer is left out;
/// it is a fault when none does. A name that does not exist has an empty list.
pub async fn seen_by(servers: &[String], name: &str, kind: &RecordType) -> Seen<BTreeMap<String, Vec<String>>> {
    let query = query(name, kind)?;
    let asked = servers.iter().take(MAX_SERVERS).map(|server| async {
        let answer = async { ask(address(server).await?, &query).await };
        (server.clone(), answer.await)
    });
    let mut answers = BTreeMap::new();
    let mut failures = Vec::new();
    for (server, answer) in join_all(asked).await {
        match answer {
            Ok(values) => drop(answers.insert(server, values)),
            Err(why) => failures.push(format!("{server}: {why}")),
        }
    }
    match answers.is_empty() {
        true => Err(Fault::Unreachable(format!("no name server answers for {name}: {}", failures.join("; ")))),
        false => Ok(answers),
    }
}

/// The addresses that the system's resolver has for a host name; none if the name does not exist.
pub async fn resolve(name: &str) -> Seen<Vec<IpAddr>> {
    let fault = |e: &dyn std::fmt::Display| Fault::Unreachable(format!("{name} cannot be resolved: {e}"));
    let mut builder = Resolver::builder_tokio().map_err(|e| fault(&e))?;
    let options = builder.options_mut();
    (options.timeout, options.attempts, options.cache_size) = (TIMEOUT, 1, 0);
    let resolver = builder.build().map_err(|e| fault(&e))?;
    // The dot keeps a cluster's search domains out.
    match resolver.lookup_ip(format!("{}.", name.trim_end_matches('.'))).await {
        Ok(found) => Ok(found.iter().collect()),
        Err(e) if e.is_no_records_found() => Ok(Vec::new()),
        Err(e) => Err(fault(&e)),
    }
}

async fn address(server: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = server.parse::<SocketAddr>() {
        return Ok(address);
    }
    if let Ok(ip) = server.parse::<IpAddr>() {
        return Ok((ip, 53).into());
    }
    let found = resolve(server).await.map_err(|e| e.to_string())?;
    // IPv4 first: many clusters have no IPv6 route.
    let ip = found.iter().find(|ip| ip.is_ipv4()).or(found.first()).ok_or("it has no address")?;
    Ok((*ip, 53).into())
}

fn query(name: &str, kind: &RecordType) -> Seen<Query> {
    let rejected = || Fault::Rejected(format!("{kind} records of {name} cannot be asked for"));
    let mut wire = Name::from_ascii(name).map_err(|_| rejected())?;
    wire.set_fqdn(true);
    let kind = WireType::from_str(&kind.to_string()).map_err(|_| rejected())?;
    Ok(Query::query(wire, kind))
}

async fn ask(server: SocketAddr, query: &Query) -> Result<Vec<String>, String> {
    let mut question = Message::query();
    question.metadata.recursion_desired = false;
    question.add_query(query.clone());
    let mut edns = Edns::new();
    edns.set_max_payload(MAX_UDP);
    question.set_edns(edns);
    let mut answer = in_time(by_udp(server, &question)).await?;
    if answer.metadata.truncation {
        answer = in_time(by_tcp(server, &question)).await?;
    }
    values(&answer, query.query_type())
}

async fn in_time(answer: impl Future<Output = std::io::Result<Message>>) -> Result<Message, String> {
    match timeout(TIMEOUT, answer).await {
        Ok(answer) => answer.map_err(|e| e.to_string()),
        Err(_) => Err(format!("no answer in {} s", TIMEOUT.as_secs())),
    }
}

/// Asked again until the caller gives up. Datagrams that do not answer the question are passed over: anybody may send
/// them.
async fn by_udp(server: SocketAddr, question: &Message) -> std::io::Result<Message> {
    let local: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((local, 0)).await?;
    socket.connect(server).await?;
    let bytes = bytes(question)?;
    loop {
        socket.send(&bytes).await?;
        if let Ok(answer) = timeout(RESEND, datagram(&socket, question)).await {
            return answer;
        }
    }
}

async fn datagram(socket: &UdpSocket, question: &Message) -> std::io::Result<Message> {
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if let Some(answer) = answer(&buffer[..length], question) {
            return Ok(answer);
        }
    }
}

/// <https://www.rfc-editor.org/rfc/rfc1035#section-4.2.2>: each message after its length.
async fn by_tcp(server: SocketAddr, question: &Message) -> std::io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let bytes = bytes(question)?;
    stream.write_u16(u16::try_from(bytes.len()).map_err(std::io::Error::other)?).await?;
    stream.write_all(&bytes).await?;
    let mut buffer = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut buffer).await?;
    answer(&buffer, question).ok_or_else(|| std::io::Error::other("the answer is to another question"))
}

fn bytes(question: &Message) -> std::io::Result<Vec<u8>> {
    question.to_vec().map_err(std::io::Error::other)
}

/// The message, if it answers the question.
fn answer(bytes: &[u8], question: &Message) -> Option<Message> {
    let message = Message::from_vec(bytes).ok()?;
    let head = &message.metadata;
    let fits = head.id == question.metadata.id && head.message_type == MessageType::Response;
    (fits && head.op_code == OpCode::Query && message.queries == question.queries).then_some(message)
}

fn values(answer: &Message, kind: WireType) -> Result<Vec<String>, String> {
    match answer.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => {}
        refused => return Err(format!("it answers {refused}")),
    }
    let records = answer.answers.iter().filter(|record| record.record_type() == kind);
    let mut values: Vec<_> = records.map(|record| value(&record.data)).collect();
    values.sort();
    Ok(values)
}

/// As [`crate::rows::Record`] has it: texts without quotes, names in lower case without the dot at the end.
fn value(data: &RData) -> String {
    match data {
        RData::TXT(text) => text.txt_data.iter().map(|part| String::from_utf8_lossy(part)).collect(),
        RData::CNAME(name) => name.0.to_ascii().trim_end_matches('.').to_ascii_lowercase(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_resolver::proto::rr::Record;
    use hickory_resolver::proto::rr::rdata::TXT;

    fn question() -> Message {
        let mut question = Message::query();
        question.add_query(query("_acme-challenge.example.com", &RecordType::Txt).unwrap());
        question
    }

    fn reply(question: &Message) -> Message {
        let mut reply = question.clone();
        reply.metadata.message_type = MessageType::Response;
        let text = RData::TXT(TXT::new(vec!["proof".into(), "more".into()]));
        reply.add_answer(Record::from_rdata(question.queries[0].name().clone(), 60, text));
        reply
    }

    #[test]
    fn an_answer_is_read() {
        let question = question();
        let read = answer(&reply(&question).to_vec().unwrap(), &question).unwrap();
        assert_eq!(values(&read, WireType::TXT), Ok(vec!["proofmore".to_owned()]));
    }

    #[test]
    fn no_datagram_breaks_the_reader_and_none_to_another_question_is_read() {
        let question = question();
        let (good, mut taken) = (reply(&question).to_vec().unwrap(), 0);
        crate::fuzz::bytes(&[&good], 20_000, |datagram| {
            if let Some(read) = answer(datagram, &question) {
                assert_eq!(read.queries, question.queries);
                taken += usize::from(values(&read, WireType::TXT).is_ok());
            }
        });
        assert!(taken > 100, "the mutants are too far off to reach the reader of values: {taken}");
    }
}
