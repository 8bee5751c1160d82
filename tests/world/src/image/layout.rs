//! An image layout in an archive: <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>

use super::blob::Blob;
use super::{Image, Layer, fresh};
use crate::error::{Doing, Result};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Writes the archive of an image whose layers are packed.
pub fn write(image: &Image, layers: &[Blob], archive: &Path) -> Result<()> {
    let layout = archive.with_extension("layout");
    fresh(&layout.join("blobs/sha256"))?;
    fill(image, layers, &layout)?;
    Layer::new(&layout).write(archive)?;
    fs::remove_dir_all(&layout).doing(format!("removing {}", layout.display()))
}

fn fill(image: &Image, layers: &[Blob], layout: &Path) -> Result<()> {
    let described: Vec<Value> = layers.iter().map(|layer| describe("layer.v1.tar", layer)).collect();
    layers.iter().try_for_each(|layer| link(layer, layout))?;
    let config = describe("config.v1+json", &store(&image.config(layers), layout)?);
    let kind = media("manifest.v1+json");
    let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": described});
    let mut manifest = describe("manifest.v1+json", &store(&manifest, layout)?);
    manifest["annotations"] = json!({"io.containerd.image.name": canonical(&image.name)});
    put(&layout.join("index.json"), &json!({"schemaVersion": 2, "manifests": [manifest]}))?;
    put(&layout.join("oci-layout"), &json!({"imageLayoutVersion": "1.0.0"}))
}

impl Image {
    /// What a runtime needs to know: <https://github.com/opencontainers/image-spec/blob/main/config.md>
    pub(super) fn config(&self, layers: &[Blob]) -> Value {
        let env: Vec<String> = self.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        // Layers are not compressed, so the digest of what is unpacked is that of the file.
        let unpacked: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", layer.digest)).collect();
        let mut run = json!({"Env": env, "User": self.user, "WorkingDir": self.workdir});
        for (field, words) in [("Entrypoint", &self.entrypoint), ("Cmd", &self.command)] {
            if !words.is_empty() {
                run[field] = json!(words);
            }
        }
        json!({
            "created": "1970-01-01T00:00:00Z",
            "architecture": architecture(),
            "os": "linux",
            "config": run,
            "rootfs": {"type": "layers", "diff_ids": unpacked},
        })
    }
}

/// The processor, as Go and so OCI call it.
pub fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

/// The name in full, as the kubelet asks for it: a name without a registry is Docker's.
/// <https://github.com/distribution/reference/blob/main/normalize.go>
pub fn canonical(name: &str) -> String {
    match name.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    }
}

fn link(layer: &Blob, layout: &Path) -> Result<()> {
    let to = layout.join("blobs/sha256").join(&layer.digest);
    if to.exists() {
        return Ok(());
    }
    fs::hard_link(&layer.file, &to).doing(format!("linking {}", layer.file.display()))
}

fn store(value: &Value, layout: &Path) -> Result<Blob> {
    let (text, blobs) = (value.to_string(), layout.join("blobs/sha256"));
    let digest = super::hash(&text);
    put(&blobs.join(&digest), value)?;
    Ok(Blob { file: blobs.join(&digest), digest, size: text.len() as u64 })
}

fn put(file: &Path, value: &Value) -> Result<()> {
    fs::write(file, value.to_string()).doing(format!("writing {}", file.display()))
}

fn describe(kind: &str, blob: &Blob) -> Value {
    json!({"mediaType": media(kind), "digest": format!("sha256:{}", blob.digest), "size": blob.size})
}

fn media(kind: &str) -> String {
    format!("application/vnd.oci.image.{kind}")
}
