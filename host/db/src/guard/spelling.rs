//! The text that goes to PostgreSQL: a plugin's tokens in a spelling that the guard's scanner and
//! PostgreSQL's (`scan.l`) read alike.
//!
//! The two know different forms: PostgreSQL ends an operator where a comment begins inside it, nests other
//! comments, continues strings on the next line. What one takes for a text the other may take for SQL. So
//! the plugin's text is not sent. Each token that was read is written anew: strings in one form, operators
//! cut where PostgreSQL cuts them, one space between any two, no comment. What has no such form is refused.
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::ParserError;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Word};

use super::syntax;
use crate::error::DbError;

/// PostgreSQL cuts longer identifiers, so two long names can mean one thing, and refuses longer operators; in bytes.
const NAME_BYTES_MAX: usize = 63;
/// With one of these in it an operator may end in + or -.
const OPERATORS_OF_THEIR_OWN: &str = "~!@#^&|`?%";

/// One statement in the plain spelling, without the semicolons behind it, and its tokens; empty where there
/// is no statement.
pub(super) fn plain(sql: &str) -> Result<(String, Vec<TokenWithSpan>), DbError> {
    let text = spell(&tokens(sql)?)?;
    let tokens = tokens(&text)?;
    // A form that reads back as something else would be one that is not understood here.
    if spell(&tokens)? != text {
        return Err(refused("the statement"));
    }
    Ok((text, tokens))
}

/// The token's text where it is an operator.
pub(super) fn operator(token: &Token) -> Option<String> {
    let text = token.to_string();
    let is_part = |c: char| "+-*/<>=".contains(c) || OPERATORS_OF_THEIR_OWN.contains(c);
    let is_operator = !matches!(token, Token::RArrow | Token::Char(_)) && text.chars().all(is_part);
    (is_operator && !text.is_empty()).then_some(text)
}

fn tokens(sql: &str) -> Result<Vec<TokenWithSpan>, DbError> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location();
    tokens.map_err(|error| syntax(&ParserError::from(error)))
}

fn spell(tokens: &[TokenWithSpan]) -> Result<String, DbError> {
    let mut words = Vec::with_capacity(tokens.len());
    let mut ended = false;
    let mut number_ended: Option<Location> = None;
    for TokenWithSpan { token, span } in tokens {
        match token {
            Token::Whitespace(_) | Token::EOF => continue,
            Token::SemiColon => {
                ended = true;
                continue;
            }
            _ if ended && !words.is_empty() => {
                return Err(DbError::rejected(
                    "SQL_SEVERAL_STATEMENTS",
                    "found more behind a semicolon, expected one statement; run several with query-all",
                ));
            }
            // One number to some releases of PostgreSQL, a number and its alias to the parser.
            Token::Word(_) if number_ended == Some(span.start) => return Err(refused("a letter behind a number")),
            Token::HexStringLiteral(digits) => {
                // X'1F', or 0x1F: the tokenizer tells them apart by nothing but their width.
                let prefix = if span.end.column - span.start.column == digits.len() as u64 + 3 { "X" } else { "0x" };
                words.push(hexadecimal(prefix, digits)?);
            }
            token => words.push(spelt(token)?),
        }
        number_ended = matches!(token, Token::Number(_, _) | Token::HexStringLiteral(_)).then_some(span.end);
    }
    Ok(words.join(" "))
}

fn spelt(token: &Token) -> Result<String, DbError> {
    match token {
        Token::Word(word) => identifier(word),
        Token::Number(digits, false) if digits.chars().all(|c| c.is_ascii_digit() || "._eE+-".contains(c)) => {
            Ok(digits.clone())
        }
        Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) | Token::UnicodeStringLiteral(text) => {
            Ok(string(text))
        }
        Token::DollarQuotedString(quoted) => Ok(string(&quoted.value)),
        Token::NationalStringLiteral(text) if !text.contains('\\') => Ok(format!("N{}", string(text))),
        Token::SingleQuotedByteStringLiteral(bits) if bits.chars().all(|c| matches!(c, '0' | '1')) => {
            Ok(format!("B'{bits}'"))
        }
        Token::Placeholder(text) => match text.strip_prefix('$') {
            Some(number) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => Ok(text.clone()),
            _ => Err(refused(&format!("the parameter {text}"))),
        },
        Token::LParen
        | Token::RParen
        | Token::LBracket
        | Token::RBracket
        | Token::Comma
        | Token::Period
        | Token::Colon
        | Token::DoubleColon
        | Token::Assignment
        | Token::RArrow => Ok(token.to_string()),
        other => operator(other).map_or_else(|| Err(refused("this kind of literal or sign")), |text| cut(&text)),
    }
}

fn identifier(word: &Word) -> Result<String, DbError> {
    let Word { value, quote_style, keyword: _ } = word;
    if value.len() > NAME_BYTES_MAX {
        return Err(DbError::rejected(
            "SQL_IDENTIFIER_TOO_LONG",
            format!("an identifier has {} bytes, expected at most {NAME_BYTES_MAX}", value.len()),
        ));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$') || !c.is_ascii();
    let begins = |c: char| plain(c) && !c.is_ascii_digit() && c != '$';
    match quote_style {
        Some('"') if !value.is_empty() => Ok(format!("\"{}\"", value.replace('"', "\"\""))),
        None if value.starts_with(begins) && value.chars().all(plain) => Ok(value.clone()),
        _ => Err(refused("this kind of identifier")),
    }
}

/// With a backslash in it a text is written as E'…', which ends at the same place whatever
/// `standard_conforming_strings` is.
fn string(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", doubled.replace('\\', "\\\\")) } else { format!("'{doubled}'") }
}

fn hexadecimal(prefix: &str, digits: &str) -> Result<String, DbError> {
    match prefix {
        "X" if digits.bytes().all(|b| b.is_ascii_hexdigit()) => Ok(format!("X'{digits}'")),
        "0x" if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit() || b == b'_') => {
            Ok(format!("0x{digits}"))
        }
        _ => Err(refused("this hexadecimal literal")),
    }
}

/// `->-` is `->` and `-` to PostgreSQL ("Operators" under "Lexical Structure").
fn cut(text: &str) -> Result<String, DbError> {
    if text.contains("--") || text.contains("/*") {
        return Err(refused("a comment inside an operator"));
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(refused("so long an operator"));
    }
    let mut head = text;
    if !text.contains(|c| OPERATORS_OF_THEIR_OWN.contains(c)) {
        while head.len() > 1
            && let Some(shorter) = head.strip_suffix(['+', '-'])
        {
            head = shorter;
        }
    }
    let tail = text.strip_prefix(head).unwrap_or_default();
    Ok(tail.chars().fold(head.to_owned(), |spelt, sign| spelt + " " + &sign.to_string()))
}

fn refused(what: &str) -> DbError {
    DbError::rejected("SQL_SYNTAX", format!("{what} is not read here as PostgreSQL reads it: write it another way"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_has_one_spelling() {
        for (sql, spelt) in [
            ("SELECT 1", "SELECT 1"),
            ("select\u{a0}1", "select\u{a0}1"),
            ("SELECT a.b::int[] , \"A\"\"b\"/* c /* d */ */-- e\n;;", "SELECT a . b :: int [ ] , \"A\"\"b\""),
            ("SELECT 1 -- a\r, 2", "SELECT 1 , 2"),
            (
                "SELECT 'it''s', E'a\\tb\\'c', $$d'e$$, $x$f$x$, U&'\\0041', N'g'",
                "SELECT 'it''s' , 'a\tb''c' , 'd''e' , 'f' , 'A' , N'g'",
            ),
            (r"SELECT 'a\', E'\\' || 'b'", r"SELECT E'a\\' , E'\\' || 'b'"),
            ("SELECT X'1f', B'01', 1_000, 1.5e-3, .5, $1", "SELECT X'1f' , B'01' , 1_000 , 1.5e-3 , .5 , $1"),
            ("SELECT 0x1f, 0x1_f", "SELECT 0x1f , 0x1_f"),
            ("SELECT j->-1, a<-1, b||-c", "SELECT j -> - 1 , a < - 1 , b ||- c"),
            ("SELECT f(a => 1, b := 2), x[1:2]", "SELECT f ( a => 1 , b := 2 ) , x [ 1 : 2 ]"),
            ("SELECT U&\"\\0061\"", "SELECT U & \"\\0061\""),
            (" ; ", ""),
        ] {
            let (text, _) = plain(sql).unwrap_or_else(|error| panic!("{sql}: {}", error.for_log()));
            assert_eq!(text, spelt, "{sql}");
        }
    }

    #[test]
    fn what_postgresql_would_cut_elsewhere_is_refused() {
        for sql in [
            "SELECT '' ||/* ' */ (SELECT x FROM s) /* ' -- */",
            "SELECT 1 +/* ' */ 2 /* ' */ ||/* */ 3",
            "SELECT 'a' ||-- b\n'c'",
            "SELECT 1 @--2\n",
            "SELECT 1a",
            "SELECT 0b11",
            "SELECT 0X1F",
            "SELECT 1L",
            "SELECT $1a",
            "SELECT $a",
            "SELECT X'1\\''",
            "SELECT B'2'",
            "SELECT N'\\'",
            "SELECT `a`",
            "SELECT {d 'x'}",
            "SELECT \"\"",
        ] {
            assert!(matches!(plain(sql), Err(DbError::Rejected { code: "SQL_SYNTAX", .. })), "{sql}: {:?}", plain(sql));
        }
    }
}
