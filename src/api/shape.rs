//! Shapes: the schemas of the strings, numbers and collections that users write, each with its bounds. They hold no
//! values: a field keeps its plain Rust type and names its shape with `#[schemars(with = "...")]`.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// A rule in CEL over the block that it stands on; `field` is the path of the field to blame, or nothing.
pub fn rule(field: &str, rule: &str, message: &str) -> Value {
    validation("FieldValueInvalid", field, rule, message)
}

/// A rule that is broken by a field that may not be there.
pub fn forbid(field: &str, rule: &str, message: &str) -> Value {
    validation("FieldValueForbidden", field, rule, message)
}

/// A rule that is broken by a field that is missing.
pub fn demand(field: &str, rule: &str, message: &str) -> Value {
    validation("FieldValueRequired", field, rule, message)
}

fn validation(reason: &str, field: &str, rule: &str, message: &str) -> Value {
    match field {
        "" => json!({"rule": rule, "message": message, "reason": reason}),
        field => json!({"rule": rule, "message": message, "reason": reason, "fieldPath": field}),
    }
}

/// Exactly one of the fields must be there.
pub fn one_of(fields: &[&str], message: &str) -> Value {
    let has: Vec<String> = fields.iter().map(|field| format!("has(self.{field})")).collect();
    validation("FieldValueInvalid", "", &format!("[{}].filter(x, x).size() == 1", has.join(", ")), message)
}

/// Implements [`JsonSchema`] by an expression; shapes are always written out where they are used.
macro_rules! schema {
    ($name:ty, $schema:expr) => {
        schema!({} $name, $schema);
    };
    ({$($generics:tt)*} $name:ty, $schema:expr) => {
        impl<$($generics)*> JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let make: fn(&mut SchemaGenerator) -> Schema = $schema;
                make(generator)
            }
        }
    };
}

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident: $longest:literal, $pattern:literal;)*) => {$(
        $(#[$doc])*
        pub struct $name;
        schema!($name, |_| json_schema!({"type": "string", "maxLength": $longest, "pattern": $pattern}));
    )*};
}

texts! {
    /// A DNS label, as names of processes and Services are.
    Label: 63, r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
    /// The name of a Kubernetes object.
    ObjectName: 253, r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$";
    /// A host's name with at least one dot, in lower case. No address has a last label that begins with a letter, in
    /// whatever way it is written: <https://url.spec.whatwg.org/#ends-in-a-number-checker>.
    Host: 253, r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.)+[a-z]([-a-z0-9]{0,61}[a-z0-9])?$";
    /// A host's name, or `*.` and all names one label below.
    HostPattern: 253, r"^(\*\.)?([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.)+[a-z]([-a-z0-9]{0,61}[a-z0-9])?$";
    /// The name of an environment variable.
    EnvName: 128, r"^[A-Za-z_][A-Za-z0-9_]*$";
    /// A key of a Secret or ConfigMap.
    DataKey: 253, r"^[-._a-zA-Z0-9]+$";
    /// The path of a URL.
    UrlPath: 1024, r"^/\S*$";
    /// An absolute path of a file.
    FilePath: 1024, r"^/.+$";
    /// A schedule of five fields.
    Schedule: 100, r"^([-0-9A-Za-z*,/?]+ +){4}[-0-9A-Za-z*,/?]+$";
    /// A quantity as Kubernetes writes it.
    Quantity: 20, r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$";
    /// A reference to an image.
    Image: 512, r"^\S+$";
    /// The origin of a web page.
    Origin: 300, r"^https?://[^/\s]+$";
    /// An address of electronic mail.
    MailAddress: 320, r"^[^@\s]+@[^@\s]+$";
    /// A number between 0 and 100, as text.
    Percent: 12, r"^(100(\.0+)?|[0-9]{1,2}(\.[0-9]+)?)$";
    /// A word of a vendor: an identifier, a region, an event.
    Word: 128, r"^[-._:/*a-zA-Z0-9]+$";
    /// A currency by its ISO 4217 code in lower case.
    Currency: 3, r"^[a-z]{3}$";
}

/// Any text of up to `N` characters.
pub struct Text<const N: usize>;
schema!({const N: usize} Text<N>, |_| json_schema!({"type": "string", "maxLength": N}));

/// An address that is reached over TLS.
pub struct HttpsUrl;
schema!(HttpsUrl, |_| json_schema!({
    "type": "string",
    "maxLength": 1024,
    "x-kubernetes-validations": [rule("", "self.startsWith('https://')", "an address of a vendor must begin with `https://`: credentials are sent there")],
}));

/// A moment.
pub struct Moment;
schema!(Moment, |_| json_schema!({"type": "string", "format": "date-time", "maxLength": 40}));

/// A whole number of 32 bits between two bounds.
pub struct Int<const LEAST: i32, const MOST: i32>;
schema!({const LEAST: i32, const MOST: i32} Int<LEAST, MOST>, |_| json_schema!({
    "type": "integer", "format": "int32", "minimum": LEAST, "maximum": MOST,
}));

/// A whole number from `LEAST` to the largest that JSON carries exactly.
pub struct Long<const LEAST: i32>;
schema!({const LEAST: i32} Long<LEAST>, |_| json_schema!({
    "type": "integer", "format": "int64", "minimum": LEAST, "maximum": 9_007_199_254_740_991_i64,
}));

/// Any object: what it means is decided elsewhere.
pub struct AnyObject;
schema!(AnyObject, |_| json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));

/// A list of up to `N` items that belong together, in order.
pub struct Atomic<T, const N: usize>(PhantomData<T>);
schema!({T: JsonSchema, const N: usize} Atomic<T, N>, |generator| json_schema!({
    "type": "array", "items": generator.subschema_for::<T>(), "maxItems": N, "x-kubernetes-list-type": "atomic",
}));

/// A list of up to `N` different scalars.
pub struct Set<T, const N: usize>(PhantomData<T>);
schema!({T: JsonSchema, const N: usize} Set<T, N>, |generator| json_schema!({
    "type": "array", "items": generator.subschema_for::<T>(), "maxItems": N, "x-kubernetes-list-type": "set",
}));

/// What is told apart in a list by some of its fields.
pub trait Item: JsonSchema {
    /// Those fields, as YAML spells them.
    const KEYS: &'static [&'static str];
}

/// A list of up to `N` items, each with its own key.
pub struct Keyed<T, const N: usize>(PhantomData<T>);
schema!({T: Item, const N: usize} Keyed<T, N>, |generator| json_schema!({
    "type": "array",
    "items": generator.subschema_for::<T>(),
    "maxItems": N,
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": T::KEYS,
}));

/// Names of environment variables with their values.
pub struct Env;
schema!(Env, |_| json_schema!({
    "type": "object",
    "additionalProperties": {"type": "string", "maxLength": 8192},
    "maxProperties": 200,
    "x-kubernetes-validations": [rule(
        "",
        "self.all(name, name.matches('^[A-Za-z_][A-Za-z0-9_]*$'))",
        "names in `env` must be of letters, digits and `_`, and begin with no digit: rename the variable",
    )],
}));

/// A selector of labels, as Kubernetes defines it.
pub struct Selection;
schema!(Selection, |_| json_schema!({
    "type": "object",
    "properties": {
        "matchLabels": {
            "description": "matchLabels are labels that must all be there.",
            "type": "object",
            "additionalProperties": {"type": "string", "maxLength": 63},
            "maxProperties": 20,
        },
        "matchExpressions": {
            "description": "matchExpressions are requirements that must all hold.",
            "type": "array",
            "maxItems": 20,
            "x-kubernetes-list-type": "atomic",
            "items": requirement(),
        },
    },
}));

fn requirement() -> Value {
    let (label, value) = (json!({"type": "string", "maxLength": 63}), "values are those to be in, or not to be in.");
    let operators = ["In", "NotIn", "Exists", "DoesNotExist"];
    json!({
        "type": "object",
        "required": ["key", "operator"],
        "properties": {
            "key": {"description": "key is that of the label.", "type": "string", "maxLength": 317},
            "operator": {"description": "operator is how the label is compared.", "type": "string", "enum": operators},
            "values": {"description": value, "type": "array", "maxItems": 50, "x-kubernetes-list-type": "set", "items": label},
        },
    })
}
