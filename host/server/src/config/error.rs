use std::path::{Path, PathBuf};

/// What is wrong with the configuration. No text here holds a value from the file: it may be a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No file was named.
    #[error("no configuration file: give `--config FILE`, or set STOCKADE_CONFIG")]
    Missing,
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {reason}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
    /// The file is not TOML, or a key is unknown, missing or of the wrong type.
    #[error("{path}, line {line}: {problem}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong, without the value.
        problem: String,
    },
    /// A value that its type allows is still wrong.
    #[error("`{key}` {problem}")]
    Value {
        /// Section and key.
        key: String,
        /// What is wrong, what was expected, what to do.
        problem: String,
    },
}

impl ConfigError {
    pub(crate) fn value(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Value { key: key.into(), problem: problem.into() }
    }

    /// The parser's own text is not used whole: it quotes the line, and with it a password.
    pub(super) fn parse(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let start = error.span().map_or(0, |span| span.start);
        let before = text.get(..start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        Self::Parse { path: path.to_owned(), line, problem: without_value(error.message()) }
    }
}

/// Serde's `invalid type: string "hunter2", expected u16` without the part that repeats the value.
fn without_value(message: &str) -> String {
    for kind in ["invalid type: ", "invalid value: "] {
        if let Some(rest) = message.strip_prefix(kind)
            && let Some(at) = rest.rfind(", expected ")
        {
            let expected = rest.get(at + 2..).unwrap_or_default();
            return format!("{}: {expected}", kind.trim_end_matches(": "));
        }
    }
    message.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serde_messages_lose_the_value() {
        let said = without_value("invalid type: string \"hunter2, expected a\", expected u16");
        assert_eq!(said, "invalid type: expected u16");
        assert_eq!(
            without_value("unknown field `lisen`, expected `listen`"),
            "unknown field `lisen`, expected `listen`"
        );
    }
}
