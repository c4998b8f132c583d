//! The statement guard: reads a plugin's SQL with a real parser and says early, and clearly, what it
//! will not pass on. It is a courtesy and a first layer. The wall is in the database: the protocol,
//! the reader role and the signed context hold when everything here is wrong.
//!
//! Reading ([`analyse`]) depends on the text alone; what it names is then held against the plugin's
//! grants ([`grants`]). Nothing is judged by matching text, and what the walk does not know it refuses.
use sqlparser::ast::{Statement, Visit};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, Whitespace};
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::error::DbError;
use crate::scope::SqlScope;

mod fingerprint;
mod functions;
mod grants;
mod names;
mod repeatable;
mod types;
mod walk;

pub(crate) use fingerprint::Fingerprint;
pub(crate) use grants::check;
pub(crate) use names::{Catalogue, Name, PG_CATALOG};
pub(crate) use repeatable::{names_a_moment, reads};

/// The longest statement, in bytes.
pub(crate) const SQL_BYTES_MAX: usize = 65_536;
/// How deep parentheses, subqueries and the like may nest: levels of the parser.
const SQL_NESTING_MAX: usize = 100;
/// How deep the tree may be, chains of operators (`a + b + c …`) included.
pub(super) const SQL_DEPTH_MAX: usize = 1_000;
/// The most parameters a statement may name.
pub(crate) const SQL_PARAMETERS_MAX: usize = 1_000;
/// From this length on, the tree could be deeper than a worker's stack, in bytes of text.
const SHORT_BYTES: usize = 1_024;
/// Room for the deepest tree that [`SQL_BYTES_MAX`] of text can make, in bytes.
const STACK_BYTES: usize = 128 * 1024 * 1024;

/// What a statement names, as PostgreSQL would read it (unquoted names folded to lower case).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Analysis {
    pub(crate) relations: Vec<Name>,
    pub(crate) functions: Vec<Name>,
    pub(crate) types: Vec<Name>,
    /// Operators are named here only when written with a schema.
    pub(crate) operators: Vec<Name>,
    /// The highest `$n`.
    pub(crate) parameters: usize,
    /// Where the statement's text ends, in bytes: before the semicolons that people write behind it.
    pub(crate) end: usize,
    /// The statement without its values.
    pub(crate) fingerprint: Arc<Fingerprint>,
    /// A literal that PostgreSQL may read as the present moment: `'today'::date`.
    pub(crate) clock_words: bool,
}

/// The guard's verdict on a statement where the database has no names but those of the statement's own
/// scope: everything that can be said without a connection. At most 65,536 bytes.
///
/// # Errors
/// What a plugin that sent it would get.
pub fn judge_statement(sql: &str, scope: &SqlScope) -> Result<(), DbError> {
    check(&analyse(sql)?, scope, &Catalogue::default())
}

/// Reads one statement. An error's text may be shown to whoever wrote the statement.
pub(crate) fn analyse(sql: &str) -> Result<Analysis, DbError> {
    if sql.len() > SQL_BYTES_MAX {
        return Err(DbError::rejected(
            "SQL_TOO_LONG",
            format!("the statement has {} bytes, expected at most {SQL_BYTES_MAX}", sql.len()),
        ));
    }
    // The protocol ends a text at NUL: what is behind one would be read by us and not by PostgreSQL.
    if sql.contains('\0') {
        return Err(DbError::rejected("SQL_SYNTAX", "the statement holds a NUL character"));
    }
    if sql.len() <= SHORT_BYTES {
        return analyse_here(sql);
    }
    // The parser and its visitor grow the stack as they need it; dropping a deep tree does not.
    stacker::maybe_grow(STACK_BYTES, STACK_BYTES, || analyse_here(sql))
}

fn analyse_here(sql: &str) -> Result<Analysis, DbError> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql)
        .tokenize_with_location()
        .map_err(|error| syntax(&ParserError::from(error)))?;
    let table_commands = tokens.iter().any(is_table_keyword);
    let end = end_of_first(sql, &tokens);
    let fingerprint = Arc::new(Fingerprint::of(&tokens));
    // An identifier or a keyword is no literal; every other token with such a word in it may be one.
    let clock_words =
        tokens.iter().any(|token| !matches!(token.token, Token::Word(_)) && names_a_moment(&token.token.to_string()));
    let statements = match parse(tokens.clone()) {
        Ok(statements) if !table_commands || !matches!(statements.as_slice(), [Statement::Query(_)]) => statements,
        Err(error) if !table_commands => return Err(syntax(&error)),
        _ => parse(spell_out_table(tokens)).map_err(|error| syntax(&error))?,
    };
    let statement = match statements.as_slice() {
        [] => return Err(DbError::rejected("SQL_EMPTY", "the statement is empty, expected one query")),
        [statement] => statement,
        several => {
            return Err(DbError::rejected(
                "SQL_SEVERAL_STATEMENTS",
                format!("found {} statements, expected one; run several with query-all", several.len()),
            ));
        }
    };
    if !matches!(statement, Statement::Query(_)) {
        return Err(not_a_query());
    }
    let mut walk = walk::Walk::default();
    match statement.visit(&mut walk) {
        ControlFlow::Continue(()) => Ok(Analysis { end, fingerprint, clock_words, ..walk.finish() }),
        ControlFlow::Break(error) => Err(error),
    }
}

/// Where the first semicolon stands, in bytes; the text's length where there is none. The tokenizer
/// counts characters, line by line.
fn end_of_first(sql: &str, tokens: &[TokenWithSpan]) -> usize {
    let Some(semicolon) = tokens.iter().find(|token| token.token == Token::SemiColon) else { return sql.len() };
    let (mut line, mut column) = (1, 1);
    for (at, character) in sql.char_indices() {
        if (line, column) == (semicolon.span.start.line, semicolon.span.start.column) {
            return at;
        }
        (line, column) = if character == '\n' { (line + 1, 1) } else { (line, column + 1) };
    }
    sql.len()
}

fn parse(tokens: Vec<TokenWithSpan>) -> Result<Vec<Statement>, ParserError> {
    Parser::new(&PostgreSqlDialect {})
        .with_recursion_limit(SQL_NESTING_MAX)
        .with_tokens_with_locations(tokens)
        .parse_statements()
}

/// `TABLE x` is `SELECT * FROM x` (PostgreSQL's documentation of SELECT), and TABLE is reserved: in a
/// query it stands for nothing else. The parser's own reading of it swallows the two tokens behind.
fn spell_out_table(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut out = Vec::with_capacity(tokens.len() + 2);
    for token in tokens {
        if is_table_keyword(&token) {
            let space = || Token::Whitespace(Whitespace::Space);
            for token_of_three in
                [Token::make_keyword("SELECT"), space(), Token::Mul, space(), Token::make_keyword("FROM")]
            {
                out.push(TokenWithSpan { token: token_of_three, span: token.span });
            }
        } else {
            out.push(token);
        }
    }
    out
}

fn is_table_keyword(token: &TokenWithSpan) -> bool {
    matches!(&token.token, Token::Word(word) if word.keyword == Keyword::TABLE && word.quote_style.is_none())
}

pub(super) fn not_a_query() -> DbError {
    DbError::rejected(
        "SQL_NOT_A_QUERY",
        "expected a query: SELECT, VALUES, TABLE or WITH around them, and nothing that writes",
    )
}

pub(super) fn unsupported(what: &str) -> DbError {
    DbError::rejected("SQL_NOT_SUPPORTED", format!("{what}: this is not supported in a plugin's query"))
}

fn syntax(error: &ParserError) -> DbError {
    match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => {
            DbError::rejected("SQL_SYNTAX", message.chars().take(300).collect::<String>())
        }
        ParserError::RecursionLimitExceeded => too_deep(),
    }
}

pub(super) fn too_deep() -> DbError {
    DbError::rejected(
        "SQL_TOO_DEEP",
        format!(
            "expected at most {SQL_NESTING_MAX} nested levels and chains of at most {SQL_DEPTH_MAX} operators; \
             use IN or = ANY for long lists"
        ),
    )
}

#[cfg(test)]
mod tests;
