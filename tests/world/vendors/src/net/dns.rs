//! The DNS server: UDP and TCP on one port.

use std::net::SocketAddr;
use std::sync::Arc;

use hickory_proto::op::{Message, OpCode, ResponseCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use super::Fallible;
use super::door::{Door, Visit, keep};
use super::hub::Hub;

/// Answers over TCP, one message after another (RFC 1035, 4.2.2).
pub struct OverTcp {
    pub hub: Arc<Hub>,
}

impl Visit for OverTcp {
    async fn visit(self: Arc<Self>, mut stream: TcpStream, _peer: SocketAddr) {
        while self.one(&mut stream).await.is_ok() {}
    }
}

impl OverTcp {
    async fn one(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        let length = stream.read_u16().await?;
        let mut query = vec![0; usize::from(length)];
        stream.read_exact(&mut query).await?;
        let answer = answer(&self.hub, &query, usize::from(u16::MAX)).unwrap_or_default();
        stream.write_u16(u16::try_from(answer.len()).unwrap_or(0)).await?;
        stream.write_all(&answer).await
    }
}

/// Opens the server; both transports share one door.
pub async fn open(hub: Arc<Hub>, address: SocketAddr) -> Fallible<Door> {
    let (tcp, udp) = bind(address).await?;
    let (door, hinge) = Door::new(tcp.local_addr()?);
    let mut wanted = hinge.wanted.clone();
    tokio::spawn(keep(tcp, hinge, Arc::new(OverTcp { hub: hub.clone() })));
    tokio::spawn(async move {
        let mut buffer = vec![0; 4096];
        loop {
            let Ok((length, peer)) = udp.recv_from(&mut buffer).await else { continue };
            // A shut door hears nothing: datagrams are thrown away, as behind a firewall.
            if *wanted.borrow_and_update()
                && let Some(answer) = answer_datagram(&hub, &buffer[..length])
            {
                let _ = udp.send_to(&answer, peer).await;
            }
        }
    });
    Ok(door)
}

/// Finds a port that is free for both transports.
async fn bind(address: SocketAddr) -> Fallible<(TcpListener, UdpSocket)> {
    let mut last = None;
    for _ in 0..20 {
        let tcp = TcpListener::bind(address).await?;
        match UdpSocket::bind(tcp.local_addr()?).await {
            Ok(udp) => return Ok((tcp, udp)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(|| "no port is free for both UDP and TCP".into(), Into::into))
}

fn answer_datagram(hub: &Hub, query: &[u8]) -> Option<Vec<u8>> {
    let room = Message::from_vec(query).map_or(512, |query| query.max_payload().clamp(512, 1232));
    answer(hub, query, usize::from(room))
}

/// The answer's bytes; cut to its head when it does not fit.
fn answer(hub: &Hub, query: &[u8], room: usize) -> Option<Vec<u8>> {
    let message = match Message::from_vec(query) {
        Ok(query) => hub.view(|view| view.respond(&query)),
        Err(_) => Message::error_msg(id(query)?, OpCode::Query, ResponseCode::FormErr),
    };
    let bytes = message.to_vec().ok()?;
    if bytes.len() <= room { Some(bytes) } else { message.truncate().into_response().to_vec().ok() }
}

fn id(query: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes([*query.first()?, *query.get(1)?]))
}
