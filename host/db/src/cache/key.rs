//! What an entry is known by: everything that decides a result.
use sha2::{Digest, Sha256};

use super::versions::Version;
use crate::identity::Identity;
use crate::lease::Isolation;
use crate::value::{Statement, Value};

/// Another layout of keys, or of what they stand for, is another number.
const LAYOUT: &str = "stockade query v1";

/// SHA-256 over everything that decides a result.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key(pub(crate) [u8; 32]);

/// Everything that decides a result.
#[derive(Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) plugin_digest: &'a [u8; 32],
    /// The schemas and tables whose names the plugin may use.
    pub(crate) granted: &'a [String],
    /// Where unqualified names lead.
    pub(crate) search_path: &'a [String],
    pub(crate) statements: &'a [&'a Statement],
    pub(crate) isolation: Isolation,
    pub(crate) rows_max: u32,
    /// A row wider than this fails its statement.
    pub(crate) bytes_max: u64,
    /// An entry that is kept for long must not answer somebody who wants a fresh one.
    pub(crate) ttl_s: u32,
    /// Of every table that decides, from before the statement began.
    pub(crate) versions: &'a [Version],
}

/// Each part with its length before it, and each list with its own: no two questions make the same text.
struct Parts(Sha256);

impl Parts {
    fn add(&mut self, part: impl AsRef<[u8]>) {
        let part = part.as_ref();
        self.count(part.len());
        self.0.update(part);
    }

    fn count(&mut self, count: usize) {
        self.0.update((count as u64).to_le_bytes());
    }

    fn list<T: AsRef<[u8]>>(&mut self, parts: &[T]) {
        self.count(parts.len());
        parts.iter().for_each(|part| self.add(part));
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.add("null"),
            Value::Boolean(v) => self.typed("boolean", [u8::from(*v)]),
            Value::Integer(v) => self.typed("integer", v.to_le_bytes()),
            Value::Float(v) => self.typed("float", v.to_bits().to_le_bytes()),
            Value::Text(v) => self.typed("text", v),
            Value::Uuid(v) => self.typed("uuid", v),
            Value::Date(v) => self.typed("date", v.to_le_bytes()),
            Value::Timestamp(v) => self.typed("timestamp", v.to_le_bytes()),
            Value::Bytes(v) => self.typed("bytes", v),
            Value::Floats(v) => {
                self.add("floats");
                self.list(&v.iter().map(|v| v.to_bits().to_le_bytes()).collect::<Vec<_>>());
            }
            Value::Integers(v) => {
                self.add("integers");
                self.list(&v.iter().map(|v| v.to_le_bytes()).collect::<Vec<_>>());
            }
            Value::Texts(v) => {
                self.add("texts");
                self.list(v);
            }
        }
    }

    fn typed(&mut self, kind: &str, value: impl AsRef<[u8]>) {
        self.add(kind);
        self.add(value);
    }
}

impl Question<'_> {
    pub(crate) fn key(&self) -> Key {
        let mut parts = Parts(Sha256::new());
        parts.add(LAYOUT);
        let Identity { tenant, principal, roles, reader_role } = self.identity;
        parts.list(&[tenant.as_str(), principal.as_str(), reader_role.as_str()]);
        parts.list(roles);
        parts.add(self.plugin_digest);
        parts.list(self.granted);
        parts.list(self.search_path);
        parts.count(self.statements.len());
        for Statement { text, parameters } in self.statements {
            parts.add(text);
            parts.count(parameters.len());
            parameters.iter().for_each(|value| parts.value(value));
        }
        parts.add(match self.isolation {
            Isolation::ReadCommitted => "read committed",
            Isolation::RepeatableRead => "repeatable read",
        });
        parts.add(self.rows_max.to_le_bytes());
        parts.add(self.bytes_max.to_le_bytes());
        parts.add(self.ttl_s.to_le_bytes());
        parts.count(self.versions.len());
        for (relation, version) in self.versions {
            parts.add(relation.to_le_bytes());
            parts.add(version);
        }
        Key(parts.0.finalize().into())
    }
}

#[cfg(test)]
mod tests;
