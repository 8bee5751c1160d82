//! The database and the cache.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SecretKey;
use super::shape::{EnvName, FilePath, Int, Quantity, Text, one_of, rule};

/// Where the application keeps its data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    one_of(&["sqlite", "postgres"], "exactly one of `sqlite` and `postgres` must be set in `database`: keep the one that the application uses"),
]))]
pub struct Database {
    /// sqlite keeps the data in a file on a volume; one replica can use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sqlite: Option<Sqlite>,
    /// postgres keeps the data in PostgreSQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<Postgres>,
}

/// A database in a file. Its folder is mounted: Kubernetes takes no `:` in such a path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    rule(".file", "self.file.matches('^(/[^/:]+){2,}$') && !self.file.matches('/[.]{1,2}(/|$)')",
        "`file` must be in a folder below `/`, without `:`, `.`, `..` and empty names: move it to one such as `/data/app.db`"),
    rule(".file", "!self.file.matches('^/(tmp|scratch|etc/golive)/')",
        "`file` must not be below `/tmp`, `/scratch` or `/etc/golive`, where golive mounts volumes of its own: move it to a folder such as `/data`"),
]))]
pub struct Sqlite {
    /// file is the absolute path of the database; its directory becomes a volume.
    #[schemars(with = "FilePath")]
    pub file: String,
    /// size is that of the volume.
    #[serde(default = "size")]
    #[schemars(with = "Quantity")]
    pub size: String,
    /// env is the variable that carries `file`.
    #[schemars(with = "EnvName")]
    pub env: String,
}

fn size() -> String {
    "1Gi".into()
}

/// A database on a server: one that exists, or one that golive asks CloudNativePG for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    one_of(&["urlSecret", "instance"], "exactly one of `urlSecret` and `instance` must be set in `database.postgres`: name a server that exists, or ask for one"),
]))]
pub struct Postgres {
    /// urlSecret is the key of a Secret of the namespace with the URL of a server that exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_secret: Option<SecretKey>,
    /// instance is a server to be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<PostgresInstance>,
    /// env is the variable that carries the URL.
    #[schemars(with = "EnvName")]
    pub env: String,
    /// maxConnections is how many connections the server takes; replicas times their pools must stay below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Int<1, 100_000>")]
    pub max_connections: Option<i32>,
    /// poolSizeEnv is the variable with the size of one replica's pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "EnvName")]
    pub pool_size_env: Option<String>,
}

/// A PostgreSQL server to be made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PostgresInstance {
    /// version is the major version of PostgreSQL.
    #[schemars(with = "Text<16>")]
    pub version: String,
    /// size is that of the volume.
    #[serde(default = "size")]
    #[schemars(with = "Quantity")]
    pub size: String,
}

/// What the application keeps only for speed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cache {
    /// redis is a Redis server to be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<Redis>,
}

/// A Redis server to be made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Redis {
    /// size is that of the volume.
    #[serde(default = "size")]
    #[schemars(with = "Quantity")]
    pub size: String,
    /// env is the variable that carries the URL.
    #[schemars(with = "EnvName")]
    pub env: String,
}
