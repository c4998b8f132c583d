//! A statement without its values: what statistics and the log know it by.
use std::sync::Arc;

use sha2::{Digest, Sha256};
use sqlparser::tokenizer::{Token, TokenWithSpan};

/// Characters of a statement's text that are kept for an operator to read.
const TEXT_CHARS_MAX: usize = 500;

/// A statement by its form: literals, parameters, comments, spaces and the length of lists do not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    /// 16 hexadecimal digits of the form's SHA-256.
    pub(crate) id: Arc<str>,
    /// The form's first characters: no literal of the statement is in it.
    pub(crate) text: Arc<str>,
}

impl Default for Fingerprint {
    fn default() -> Self {
        Self::of(&[])
    }
}

impl Fingerprint {
    /// Of the tokens of one statement, up to its semicolon.
    pub(super) fn of(tokens: &[TokenWithSpan]) -> Self {
        let form = form(tokens.iter().map(|token| &token.token));
        let id: String = hex::encode(Sha256::digest(form.as_bytes())).chars().take(16).collect();
        Self { id: id.into(), text: form.chars().take(TEXT_CHARS_MAX).collect::<String>().into() }
    }
}

fn form<'a>(tokens: impl Iterator<Item = &'a Token>) -> String {
    let mut words: Vec<String> = Vec::new();
    for token in tokens {
        let word = match token {
            Token::SemiColon => break,
            Token::EOF | Token::Whitespace(_) => continue,
            Token::Word(word) if word.quote_style.is_none() => word.value.to_lowercase(),
            Token::Word(_) => token.to_string(),
            _ if is_symbol(token) => token.to_string(),
            // Literals, parameters, and whatever the tokenizer may know besides: nothing of it is kept.
            _ => "?".to_owned(),
        };
        // `?, ?` is `?`: a list of three is the same statement as one of thirty.
        if word == "?" && matches!(words.as_slice(), [.., value, comma] if value == "?" && comma == ",") {
            words.pop();
        } else {
            words.push(word);
        }
    }
    joined(&words)
}

/// Operators and punctuation, which have no letters or digits in them.
fn is_symbol(token: &Token) -> bool {
    !matches!(token, Token::Placeholder(_) | Token::DollarQuotedString(_))
        && !token.to_string().contains(|c: char| c.is_alphanumeric() || c == '\'')
}

fn joined(words: &[String]) -> String {
    let mut text = String::new();
    let mut before = "(";
    for word in words {
        let tight = matches!(word.as_str(), "," | ")" | "." | "::") || matches!(before, "(" | "." | "::");
        if !tight {
            text.push(' ');
        }
        text.push_str(word);
        before = word;
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::guard::analyse;

    fn text(sql: &str) -> String {
        analyse(sql).unwrap_or_else(|e| panic!("{sql}: {}", e.for_log())).fingerprint.text.to_string()
    }

    #[test]
    fn statements_of_one_form_are_one() {
        let form = "select a, count (*) from s.t where b = ? and c in (?) group by a limit ?";
        for sql in [
            "SELECT a, count(*) FROM s.t WHERE b = 1 AND c IN ('x') GROUP BY a LIMIT 10",
            "select A , count( * )\n from S.t /* a comment */ where b = $1 and c in ($2, 'y', 3e5) group by a limit 7; -- end",
            "SELECT a, count(*) FROM s.t WHERE b = 'it''s' AND c IN (E'\\n', $q$z$q$, N'n', X'1F') GROUP BY a LIMIT 1;",
        ] {
            assert_eq!(text(sql), form, "{sql}");
        }
        let id = |sql: &str| analyse(sql).unwrap().fingerprint.id.clone();
        assert_eq!(id("SELECT 1"), id("select 22 -- two"));
        assert_ne!(id("SELECT a FROM t"), id("SELECT b FROM t"));
        assert_ne!(id("SELECT a FROM t"), id("SELECT \"A\" FROM t"), "quoted names keep their letters");
        assert_eq!(id("SELECT 1").len(), 16);
    }

    #[test]
    fn no_literal_is_kept() {
        for literal in [
            "'canary'",
            "E'canary'",
            "N'canary'",
            "U&'canary'",
            "$$canary$$",
            "$canary$canary$canary$",
            "DATE 'canary'",
            "interval 'canary'",
            "'canary'::text",
            "CAST('canary' AS text)",
            "X'0CA7A47'",
            "0xCA7A47",
            "771177",
            "771177.5e1",
            ".771177",
            "-771177",
        ] {
            let kept = text(&format!("SELECT {literal} AS a, b FROM t WHERE b = {literal}"));
            for secret in ["canary", "ca7a4", "CA7A4", "771177"] {
                assert!(!kept.contains(secret), "{literal}: {kept}");
            }
        }
    }
}
