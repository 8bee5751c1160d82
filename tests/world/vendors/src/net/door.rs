//! A door is a listening address that tests can shut: connections are then refused, and open ones end.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::Fallible;

/// One listening address.
pub struct Door {
    address: SocketAddr,
    wanted: watch::Sender<bool>,
    is: watch::Receiver<bool>,
}

/// The accept loop's side of a door.
pub struct Hinge {
    pub address: SocketAddr,
    pub wanted: watch::Receiver<bool>,
    is: watch::Sender<bool>,
}

impl Door {
    /// A door that stands open at an address.
    pub fn new(address: SocketAddr) -> (Self, Hinge) {
        let (wanted, wanted_here) = watch::channel(true);
        let (is_here, is) = watch::channel(true);
        (Self { address, wanted, is }, Hinge { address, wanted: wanted_here, is: is_here })
    }

    /// The address, with the port that was found if any would do.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Opens or shuts the door, and returns when it is so.
    pub async fn set(&self, open: bool) {
        self.wanted.send_replace(open);
        let _ = self.is.clone().wait_for(|is| *is == open).await;
    }
}

impl Hinge {
    /// Tells that the door is open or shut.
    pub fn tell(&self, open: bool) {
        self.is.send_replace(open);
    }

    /// Waits until the door is to be opened or shut; never returns once nobody can ask for it.
    pub async fn until(&mut self, open: bool) {
        if self.wanted.wait_for(|wanted| *wanted == open).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// What to do with a connection.
pub trait Visit: Send + Sync + 'static {
    /// Serves one connection to its end.
    fn visit(self: Arc<Self>, stream: TcpStream, peer: SocketAddr) -> impl Future<Output = ()> + Send;
}

/// Listens at an address and serves what comes, for as long as the door is open.
pub async fn open<V: Visit>(address: SocketAddr, visit: Arc<V>) -> Fallible<Door> {
    let listener = TcpListener::bind(address).await?;
    let (door, hinge) = Door::new(listener.local_addr()?);
    tokio::spawn(keep(listener, hinge, visit));
    Ok(door)
}

/// Serves connections, shuts and opens the listener as the door says.
pub async fn keep<V: Visit>(mut listener: TcpListener, mut hinge: Hinge, visit: Arc<V>) {
    loop {
        hinge.tell(true);
        welcome(&listener, &mut hinge, &visit).await;
        drop(listener);
        hinge.tell(false);
        hinge.until(true).await;
        listener = loop {
            match TcpListener::bind(hinge.address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            }
        };
    }
}

async fn welcome<V: Visit>(listener: &TcpListener, hinge: &mut Hinge, visit: &Arc<V>) {
    loop {
        tokio::select! {
            () = hinge.until(false) => return,
            accepted = listener.accept() => {
                if let Ok((stream, peer)) = accepted {
                    let (visit, mut wanted) = (visit.clone(), hinge.wanted.clone());
                    tokio::spawn(async move {
                        tokio::select! {
                            () = visit.visit(stream, peer) => {}
                            _ = wanted.wait_for(|open| !open) => {}
                        }
                    });
                }
            }
        }
    }
}
