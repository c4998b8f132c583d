//! Who a query runs for. Parsed once at the edge, trusted after: these texts go into signed claims
//! and into host-made SQL, so their alphabets are part of the wall.
use std::fmt;
use std::str::FromStr;

use crate::error::DbError;

/// The longest tenant or principal id, in characters.
const ID_CHARS_MAX: usize = 128;
/// The longest identifier that PostgreSQL keeps whole, in bytes.
const IDENTIFIER_BYTES_MAX: usize = 63;

/// Who is calling, as the host knows it. No plugin ever names one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The tenant whose rows may be seen.
    pub tenant: TenantId,
    /// The person or service within the tenant.
    pub principal: PrincipalId,
    /// The caller's roles in the application's own words; policies read them from the claims.
    pub roles: Vec<String>,
    /// The database role that the caller's queries run under.
    pub reader_role: ReaderRole,
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $check:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = DbError;
            fn try_from(text: String) -> Result<Self, DbError> {
                $check(stringify!($name), &text)?;
                Ok(Self(text))
            }
        }

        impl FromStr for $name {
            type Err = DbError;
            fn from_str(text: &str) -> Result<Self, DbError> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

identifier! {
    /// A tenant: 1 to 128 printable ASCII characters without spaces.
    TenantId, check_id
}
identifier! {
    /// A person or service within a tenant: 1 to 128 printable ASCII characters without spaces.
    PrincipalId, check_id
}
identifier! {
    /// A database role that queries run under: `[a-z_][a-z0-9_]{0,62}`, so that it needs no quoting.
    ReaderRole, check_role
}

fn check_id(what: &str, text: &str) -> Result<(), DbError> {
    if text.is_empty() || text.len() > ID_CHARS_MAX || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(DbError::rejected(
            "ARGUMENT_IDENTITY",
            format!("{what}: expected 1 to {ID_CHARS_MAX} printable ASCII characters without spaces"),
        ));
    }
    Ok(())
}

fn check_role(what: &str, text: &str) -> Result<(), DbError> {
    if !is_plain_identifier(text) {
        return Err(DbError::rejected(
            "ARGUMENT_IDENTITY",
            format!(
                "{what}: expected a PostgreSQL identifier of a-z, 0-9 and _, not beginning with a digit, \
                 at most {IDENTIFIER_BYTES_MAX} characters"
            ),
        ));
    }
    Ok(())
}

/// Whether `text` is an identifier that means the same quoted and unquoted (keywords apart).
pub(crate) fn is_plain_identifier(text: &str) -> bool {
    let begins = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_');
    begins
        && text.len() <= IDENTIFIER_BYTES_MAX
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_printable_ascii_without_spaces() {
        assert!("acme".parse::<TenantId>().is_ok());
        assert!("a".repeat(ID_CHARS_MAX).parse::<TenantId>().is_ok());
        for bad in ["", "a b", "a\n", "ä", &"a".repeat(ID_CHARS_MAX + 1)] {
            assert!(bad.parse::<PrincipalId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn roles_need_no_quoting() {
        assert!("app_store_reader".parse::<ReaderRole>().is_ok());
        for bad in ["", "Acme", "1a", "a-b", "a\"b", "a;b", "a b", &"a".repeat(64)] {
            assert!(bad.parse::<ReaderRole>().is_err(), "{bad:?}");
        }
    }
}
