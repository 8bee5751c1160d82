//! Objects that are nobody's business: Secrets and ConfigMaps of others, many and large, some of them with golive's labels.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use golive::objects::{MANAGED_BY, OWNER};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Client;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::time::sleep;

use crate::Result;
use crate::figures::Foreign;
use crate::fleet::namespace;
use crate::operator::Operator;
use crate::process::{peak, resident};
use crate::stage::Stage;

/// Until an operator that has nothing to do is at rest.
const REST: Duration = Duration::from_secs(20);
/// Requests that are under way at once.
const AT_ONCE: usize = 32;
/// Secrets of a megabyte, Secrets, ConfigMaps, and ConfigMaps of a megabyte that anybody could have made with golive's labels.
const COUNTS: [usize; 4] = [300, 30_000, 10_000, 200];
/// The content of a large one, and of a small one, in bytes.
const SIZES: [usize; 2] = [1_000_000, 200];

/// Makes them beside an operator that has nothing to do, and looks at its memory before and after; then those with golive's
/// labels, of which it is told one by one, and a later one all at once.
pub async fn measure(stage: &Stage) -> Result<Foreign> {
    let operator = Operator::lead(stage).await?;
    sleep(REST).await;
    let before = resident(operator.program.pid)?;
    let [large, secrets, maps, labelled] = COUNTS;
    make(large, |number| secret(&stage.client, number, SIZES[0])).await?;
    make(secrets, |number| secret(&stage.client, large + number, SIZES[1])).await?;
    make(maps, |number| config_map(&stage.client, named(number), SIZES[1])).await?;
    let after = resident(operator.program.pid)?;
    make(labelled, |number| config_map(&stage.client, under_our_labels(maps + number), SIZES[0])).await?;
    sleep(REST).await;
    let told = peak(operator.program.pid)?;
    operator.program.stop().await?;
    let later = Operator::lead(stage).await?;
    sleep(REST).await;
    let listed = peak(later.program.pid)?;
    later.program.stop().await?;
    let objects = large + secrets + maps;
    let weight = large * SIZES[0] + (secrets + maps) * SIZES[1];
    let weight_mib = weight as f64 / 1_048_576.0;
    Ok(Foreign { objects, weight_mib, rss_mib: [before, after], labelled, peak_mib: told.max(listed) })
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

async fn config_map(client: &Client, metadata: ObjectMeta, size: usize) -> Result<()> {
    let namespace = metadata.namespace.clone().unwrap_or_default();
    let data = [("value".to_owned(), "x".repeat(size))].into();
    let map = ConfigMap { metadata, data: Some(data), ..ConfigMap::default() };
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    Ok(api.create(&PostParams::default(), &map).await.map(drop)?)
}

fn named(number: usize) -> ObjectMeta {
    ObjectMeta {
        name: Some(format!("foreign-{number:05}")),
        namespace: Some(namespace(number)),
        ..ObjectMeta::default()
    }
}

fn under_our_labels(number: usize) -> ObjectMeta {
    let labels = [(MANAGED_BY, "golive"), (OWNER, "x")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    ObjectMeta { labels: Some(labels.into()), ..named(number) }
}
