//! One vendor's API over HTTPS.

use std::sync::Arc;

use hyper::body::Incoming;

use super::http::{Answer, Handler, Hangup, Line, read, trickling, whole};
use super::hub::Hub;
use crate::gate::Manner;

/// The handler of a vendor by its name.
pub struct Api {
    pub hub: Arc<Hub>,
    pub name: &'static str,
}

impl Handler for Api {
    async fn answer(self: Arc<Self>, line: Arc<Line>, request: hyper::Request<Incoming>) -> Result<Answer, Hangup> {
        let request = read(request).await?;
        let now = self.hub.clock.now();
        let reply = self.hub.with(|vendors| vendors.serve(self.name, now, &request));
        if let Manner::Delay(pause) = reply.manner {
            tokio::time::sleep(pause).await;
        }
        if let Some(lock) = &reply.lock {
            self.hub.with(|vendors| vendors.release(lock));
        }
        match reply.manner {
            Manner::Plain | Manner::Delay(_) => Ok(whole(reply.answer)),
            Manner::Slow(pause) => Ok(trickling(reply.answer, pause)),
            Manner::Lost => Err(Hangup),
            Manner::Reset => {
                line.reset();
                Err(Hangup)
            }
        }
    }
}
