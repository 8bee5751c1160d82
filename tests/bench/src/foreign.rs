//! Objects that are nobody's business: Secrets and ConfigMaps of others, many and large.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::time::sleep;

use crate::Result;
use crate::figures::Foreign;
use crate::fleet::namespace;
use crate::operator::Operator;
use crate::process::resident;
use crate::stage::Stage;

/// Until an operator that has nothing to do is at rest.
const REST: Duration = Duration::from_secs(20);
/// Requests that are under way at once.
const AT_ONCE: usize = 32;
/// Secrets of a megabyte, Secrets, and ConfigMaps.
const COUNTS: [usize; 3] = [300, 30_000, 10_000];
/// The content of a large one, and of a small one, in bytes.
const SIZES: [usize; 2] = [1_000_000, 200];

/// Makes them beside an operator that has nothing to do, and looks at its memory before and after.
pub async fn measure(stage: &Stage) -> Result<Foreign> {
    let operator = Operator::lead(stage).await?;
    sleep(REST).await;
    let before = resident(operator.program.pid)?;
    let [large, secrets, maps] = COUNTS;
    make(large, |number| secret(&stage.client, number, SIZES[0])).await?;
    make(secrets, |number| secret(&stage.client, large + number, SIZES[1])).await?;
    make(maps, |number| config_map(&stage.client, number)).await?;
    let after = resident(operator.program.pid)?;
    operator.program.stop().await?;
    let weight = large * SIZES[0] + (secrets + maps) * SIZES[1];
    Ok(Foreign { objects: COUNTS.iter().sum(), weight_mib: weight as f64 / 1_048_576.0, rss_mib: [before, after] })
}

async fn make<F: Future<Output = Result<()>>>(count: usize, one: impl Fn(usize) -> F) -> Result<()> {
    stream::iter((0..count).map(one)).buffer_unordered(AT_ONCE).try_collect().await
}

async fn secret(client: &Client, number: usize, size: usize) -> Result<()> {
    let data = [("value".to_owned(), "x".repeat(size))].into();
    let secret = Secret { metadata: named(number), string_data: Some(data), ..Secret::default() };
    let api: Api<Secret> = Api::namespaced(client.clone(), &namespace(number));
    Ok(api.create(&PostParams::default(), &secret).await.map(drop)?)
}

async fn config_map(client: &Client, number: usize) -> Result<()> {
    let data = [("value".to_owned(), "x".repeat(SIZES[1]))].into();
    let map = ConfigMap { metadata: named(number), data: Some(data), ..ConfigMap::default() };
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace(number));
    Ok(api.create(&PostParams::default(), &map).await.map(drop)?)
}

fn named(number: usize) -> ObjectMeta {
    ObjectMeta { name: Some(format!("foreign-{number:05}")), ..ObjectMeta::default() }
}
