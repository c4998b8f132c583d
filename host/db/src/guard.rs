//! The statement guard: reads a plugin's SQL with a real parser and says early, and clearly, what it
//! will not pass on. It is a courtesy and a first layer. The wall is in the database: the protocol,
//! the reader role and the signed context hold when everything here is wrong.
//!
//! Reading ([`analyse`]) depends on the text alone; what it names is then held against the plugin's
//! grants ([`grants`]). Nothing is judged by matching text, and what the walk does not know it refuses. What
//! goes on to PostgreSQL is what was read, token by token, not what was given ([`spelling`]).
use sqlparser::ast::{Statement, Visit};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::error::DbError;
use crate::scope::SqlScope;

mod columns;
mod fingerprint;
mod functions;
mod grants;
mod names;
mod repeatable;
mod spelling;
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
    /// Those that are written without one.
    pub(crate) signs: Vec<String>,
    /// `t.name`, where PostgreSQL calls `name(t)` on a row of `t` that has no such column.
    pub(crate) of_rows: Vec<String>,
    /// The same, where `t` is a function in FROM: a row of it may be a bare value.
    pub(crate) of_values: Vec<String>,
    /// The highest `$n`.
    pub(crate) parameters: usize,
    /// The statement in the spelling that goes to PostgreSQL, without a semicolon.
    pub(crate) text: Arc<str>,
    /// The statement without its values.
    pub(crate) fingerprint: Arc<Fingerprint>,
    /// Chance decides, or the clock may: TABLESAMPLE, `'today'::date`.
    pub(crate) unrepeatable: bool,
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
    let (text, tokens) = spelling::plain(sql)?;
    if text.is_empty() {
        return Err(DbError::rejected("SQL_EMPTY", "the statement is empty, expected one query"));
    }
    let fingerprint = Arc::new(Fingerprint::of(&tokens));
    let signs = tokens.iter().filter_map(|token| spelling::operator(&token.token)).collect();
    // An identifier or a keyword is no literal; every other token with such a word in it may be one.
    let clock_words =
        tokens.iter().any(|token| !matches!(token.token, Token::Word(_)) && names_a_moment(&token.token.to_string()));
    let table_commands = tokens.iter().any(is_table_keyword);
    let statement = match parse(tokens.clone()) {
        Ok(statement) if !table_commands || !matches!(statement, Statement::Query(_)) => statement,
        Err(error) if !table_commands => return Err(syntax(&error)),
        _ => parse(spell_out_table(tokens)).map_err(|error| syntax(&error))?,
    };
    if !matches!(statement, Statement::Query(_)) {
        return Err(not_a_query());
    }
    let mut walk = walk::Walk::default();
    if let ControlFlow::Break(error) = statement.visit(&mut walk) {
        return Err(error);
    }
    let found = walk.finish();
    let unrepeatable = found.unrepeatable || clock_words;
    Ok(Analysis { signs, text: text.into(), fingerprint, unrepeatable, ..found })
}

/// The tokens' one statement. The parser's own way to read several stops at a word END, and what is behind
/// it would be seen by nobody: `SELECT 1 end, …` has a column of that name.
fn parse(tokens: Vec<TokenWithSpan>) -> Result<Statement, ParserError> {
    let mut parser =
        Parser::new(&PostgreSqlDialect {}).with_recursion_limit(SQL_NESTING_MAX).with_tokens_with_locations(tokens);
    let statement = parser.parse_statement()?;
    match parser.peek_token().token {
        Token::EOF => Ok(statement),
        found => Err(ParserError::ParserError(format!("expected the end of the statement, found {found}"))),
    }
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
