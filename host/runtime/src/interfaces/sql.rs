//! `sql`: statements, as the caller.

use wasmtime::component::Resource;

use super::convert::{HostResult, result_set};
use crate::{
    bindings::stockade::plugin::{
        sql::{Host, HostCursor, Statement, Value},
        types::ResultSet,
    },
    state::{CallState, Stop},
};

/// What a guest's cursor stands for.
#[expect(unreachable_pub, reason = "the generated bindings re-export it, in a private module")]
pub struct OpenCursor(stockade_db::Cursor);

impl Host for CallState {
    async fn query(&mut self, statement: Statement, rows_max: u32) -> HostResult<ResultSet> {
        let call = self.enter()?;
        let outcome = call.session.query(convert(statement), rows_max).await;
        outcome.map(result_set).map_err(|e| call.database_error(e))
    }

    async fn query_cached(&mut self, statement: Statement, rows_max: u32, ttl_s: u32) -> HostResult<ResultSet> {
        let call = self.enter()?;
        let outcome = call.session.query_cached(convert(statement), rows_max, ttl_s).await;
        outcome.map(result_set).map_err(|e| call.database_error(e))
    }

    async fn query_all(&mut self, statements: Vec<Statement>, rows_max: u32) -> HostResult<Vec<ResultSet>> {
        let call = self.enter()?;
        let statements = statements.into_iter().map(convert).collect();
        let outcome = call.session.query_all(statements, rows_max).await;
        outcome.map(|sets| sets.into_iter().map(result_set).collect()).map_err(|e| call.database_error(e))
    }
}

impl HostCursor for CallState {
    async fn open(&mut self, statement: Statement) -> HostResult<Resource<OpenCursor>> {
        let (call, resources) = self.enter_with_resources()?;
        if call.cursor_open {
            return Err(wasmtime::Error::from(Stop::CursorOpen).into());
        }
        let cursor = call.session.open(convert(statement)).await.map_err(|e| call.database_error(e))?;
        call.cursor_open = true;
        Ok(resources.push(OpenCursor(cursor))?)
    }

    async fn fetch(&mut self, cursor: Resource<OpenCursor>, rows_max: u32) -> HostResult<ResultSet> {
        let (call, resources) = self.enter_with_resources()?;
        let OpenCursor(cursor) = resources.get_mut(&cursor)?;
        cursor.fetch(rows_max).await.map(result_set).map_err(|e| call.database_error(e))
    }

    async fn drop(&mut self, cursor: Resource<OpenCursor>) -> wasmtime::Result<()> {
        let (call, resources) = self.enter_with_resources()?;
        call.cursor_open = false;
        resources.delete(cursor)?;
        Ok(())
    }
}

fn convert(statement: Statement) -> stockade_db::Statement {
    let parameters = statement.parameters.into_iter().map(|value| match value {
        Value::Null => stockade_db::Value::Null,
        Value::Boolean(v) => stockade_db::Value::Boolean(v),
        Value::Integer(v) => stockade_db::Value::Integer(v),
        Value::Float(v) => stockade_db::Value::Float(v),
        Value::Text(v) => stockade_db::Value::Text(v),
        Value::Uuid(v) => stockade_db::Value::Uuid(v),
        Value::Date(v) => stockade_db::Value::Date(v),
        Value::Timestamp(v) => stockade_db::Value::Timestamp(v),
        Value::Bytes(v) => stockade_db::Value::Bytes(v),
        Value::Floats(v) => stockade_db::Value::Floats(v),
        Value::Integers(v) => stockade_db::Value::Integers(v),
        Value::Texts(v) => stockade_db::Value::Texts(v),
    });
    stockade_db::Statement { text: statement.text, parameters: parameters.collect() }
}
