//! The walk over a statement's tree.
//!
//! The parser's visitor reaches every expression, query and table factor. Structures that PostgreSQL
//! knows are taken apart here field by field, without `..`: a field that a later parser adds stops the
//! build until somebody has thought about it. Variants are admitted by name, the rest is refused.
use std::collections::HashMap;
use std::ops::ControlFlow;

use sqlparser::ast::{
    AccessExpr, BinaryOperator, Cte, Expr, Function, FunctionArgumentClause, FunctionArguments, Ident, LimitClause,
    ObjectName, ObjectNamePart, OrderBy, OrderByExpr, OrderBySort, Query, Select, SelectFlavor, SelectItem, SetExpr,
    Statement, TableAlias, TableFactor, Value, ValueWithSpan, Visitor,
};

use super::columns::Columns;
use super::names::{Meaning, Name, fold};
use super::types::named_type;
use super::{Analysis, SQL_DEPTH_MAX, SQL_PARAMETERS_MAX, not_a_query, too_deep, unsupported};
use crate::error::DbError;
use crate::identity::is_plain_identifier;

/// One query's common table expressions.
#[derive(Default)]
struct Scope {
    /// Names that hide tables here and in everything inside.
    visible: Vec<String>,
    /// Address of a CTE's query → its name, which becomes visible when that query has been left
    /// (a plain WITH does not see itself).
    pending: HashMap<usize, String>,
}

#[derive(Default)]
pub(super) struct Walk {
    found: Analysis,
    columns: Columns,
    scopes: Vec<Scope>,
    depth: usize,
}

impl Walk {
    pub(super) fn finish(mut self) -> Analysis {
        for names in
            [&mut self.found.relations, &mut self.found.functions, &mut self.found.types, &mut self.found.operators]
        {
            names.sort();
            names.dedup();
        }
        let (of_rows, of_values) = self.columns.calls();
        Analysis { of_rows, of_values, ..self.found }
    }

    fn enter(&mut self) -> Result<(), DbError> {
        self.depth += 1;
        if self.depth > SQL_DEPTH_MAX { Err(too_deep()) } else { Ok(()) }
    }

    fn relation(&mut self, object: &ObjectName) -> Result<(), DbError> {
        // `FROM current_user` is a call, and `FROM ONLY t` is t, which the parser takes for an alias.
        if let Some(ObjectNamePart::Identifier(first)) = object.0.first()
            && let Meaning::Call(call) = Meaning::of(first)?
        {
            self.found.functions.push(call);
            return Ok(());
        }
        let name = Name::of(object)?;
        let local = name.schema.is_none() && self.scopes.iter().any(|scope| scope.visible.contains(&name.name));
        if !local {
            self.found.relations.push(name);
        }
        Ok(())
    }

    fn function_in_from(&mut self, object: &ObjectName, alias: Option<&TableAlias>) -> Result<(), DbError> {
        let name = Name::of(object)?;
        self.columns.function(name.name.clone(), alias)?;
        self.found.functions.push(name);
        Ok(())
    }

    fn query(&mut self, query: &Query) -> Result<(), DbError> {
        self.enter()?;
        let Query {
            with,
            body,
            order_by: _,
            limit_clause,
            fetch: _,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        if !locks.is_empty() {
            return Err(DbError::rejected(
                "SQL_LOCKS_ROWS",
                "FOR UPDATE and its kin lock rows: expected a query that only reads",
            ));
        }
        if for_clause.is_some() || settings.is_some() || format_clause.is_some() || !pipe_operators.is_empty() {
            return Err(unsupported("a clause that PostgreSQL does not have"));
        }
        if let Some(LimitClause::OffsetCommaLimit { .. }) = limit_clause {
            return Err(unsupported("LIMIT with a comma"));
        }
        let mut scope = Scope::default();
        if let Some(with) = with {
            for Cte { alias, query, from, materialized: _, closing_paren_token: _ } in &with.cte_tables {
                if from.is_some() {
                    return Err(unsupported("FROM after a common table expression"));
                }
                let name = fold(&alias.name)?;
                if with.recursive {
                    scope.visible.push(name);
                } else {
                    scope.pending.insert(address(query), name);
                }
            }
        }
        self.scopes.push(scope);
        self.set_expressions(body)
    }

    fn leave_query(&mut self, query: &Query) {
        self.depth -= 1;
        self.scopes.pop();
        if let Some(parent) = self.scopes.last_mut()
            && let Some(name) = parent.pending.remove(&address(query))
        {
            parent.visible.push(name);
        }
    }

    /// UNION chains lean to the left without limit, so this is a loop.
    fn set_expressions(&mut self, body: &SetExpr) -> Result<(), DbError> {
        let mut waiting = vec![body];
        let mut operations = 0;
        while let Some(next) = waiting.pop() {
            match next {
                // The visitor comes to these by itself.
                SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::Values(_) => {}
                SetExpr::SetOperation { left, op: _, set_quantifier: _, right } => {
                    operations += 1;
                    if operations > SQL_DEPTH_MAX {
                        return Err(too_deep());
                    }
                    waiting.push(left);
                    waiting.push(right);
                }
                // Spelt out before parsing (`guard.rs`), so none is left.
                SetExpr::Table(_) => return Err(unsupported("TABLE here")),
                SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                    return Err(not_a_query());
                }
            }
        }
        Ok(())
    }

    fn select(&mut self, select: &Select) -> Result<(), DbError> {
        let Select {
            select_token: _,
            optimizer_hints: _, // a comment to PostgreSQL
            distinct: _,
            select_modifiers,
            top,
            top_before_distinct: _,
            projection,
            exclude,
            into,
            from: _,
            lateral_views,
            prewhere,
            selection: _,
            connect_by,
            group_by: _,
            cluster_by,
            distribute_by,
            sort_by,
            having: _,
            named_window: _,
            qualify,
            window_before_qualify: _,
            value_table_mode,
            flavor,
        } = select;
        if into.is_some() {
            return Err(DbError::rejected(
                "SQL_NOT_A_QUERY",
                "SELECT INTO creates a table: expected a query that only reads",
            ));
        }
        let foreign = select_modifiers.is_some()
            || top.is_some()
            || exclude.is_some()
            || !lateral_views.is_empty()
            || prewhere.is_some()
            || !connect_by.is_empty()
            || !cluster_by.is_empty()
            || !distribute_by.is_empty()
            || !sort_by.is_empty()
            || qualify.is_some()
            || value_table_mode.is_some()
            || !matches!(flavor, SelectFlavor::Standard);
        if foreign || projection.iter().any(|item| matches!(item, SelectItem::ExprWithAliases { .. })) {
            return Err(unsupported("a clause that PostgreSQL does not have"));
        }
        Ok(())
    }

    fn table_factor(&mut self, factor: &TableFactor) -> Result<(), DbError> {
        match factor {
            TableFactor::Table {
                name,
                alias,
                args,
                with_hints,
                version,
                with_ordinality: _,
                partitions,
                json_path,
                sample,
                index_hints,
            } => {
                if !with_hints.is_empty()
                    || version.is_some()
                    || !partitions.is_empty()
                    || json_path.is_some()
                    || !index_hints.is_empty()
                {
                    return Err(unsupported("a clause that PostgreSQL does not have"));
                }
                self.found.unrepeatable |= sample.is_some();
                match args {
                    Some(args) if args.settings.is_some() => return Err(unsupported("SETTINGS")),
                    Some(_) => self.function_in_from(name, alias.as_ref())?,
                    None => self.relation(name)?,
                }
                self.alias(alias.as_ref())
            }
            TableFactor::Function { lateral: _, name, args: _, with_ordinality: _, alias } => {
                self.function_in_from(name, alias.as_ref())?;
                self.alias(alias.as_ref())
            }
            TableFactor::UNNEST { alias, array_exprs: _, with_offset, with_offset_alias, with_ordinality: _ } => {
                if *with_offset || with_offset_alias.is_some() {
                    return Err(unsupported("WITH OFFSET"));
                }
                self.columns.function("unnest".to_owned(), alias.as_ref())?;
                self.alias(alias.as_ref())
            }
            TableFactor::Derived { lateral: _, subquery: _, alias, sample } => {
                if sample.is_some() {
                    return Err(unsupported("a sample of a subquery"));
                }
                self.alias(alias.as_ref())
            }
            TableFactor::NestedJoin { table_with_joins: _, alias } => self.alias(alias.as_ref()),
            _ => Err(unsupported("this kind of table expression")),
        }
    }

    fn alias(&mut self, alias: Option<&TableAlias>) -> Result<(), DbError> {
        let Some(TableAlias { explicit: _, name: _, columns, at }) = alias else { return Ok(()) };
        if at.is_some() {
            return Err(unsupported("AT in an alias"));
        }
        for column in columns {
            if let Some(data_type) = &column.data_type {
                self.found.types.extend(named_type(data_type)?);
            }
        }
        Ok(())
    }

    fn expression(&mut self, expression: &Expr) -> Result<(), DbError> {
        self.enter()?;
        match expression {
            Expr::Identifier(ident) => self.column(ident),
            Expr::CompoundIdentifier(parts) => self.columns.qualified(parts),
            Expr::IsFalse(_)
            | Expr::IsNotFalse(_)
            | Expr::IsTrue(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotUnknown(_)
            | Expr::IsDistinctFrom(_, _)
            | Expr::IsNotDistinctFrom(_, _)
            | Expr::IsJson { .. }
            | Expr::IsNormalized { .. }
            | Expr::InList { .. }
            | Expr::InSubquery { .. }
            | Expr::Between { .. }
            | Expr::Like { .. }
            | Expr::ILike { .. }
            | Expr::SimilarTo { .. }
            | Expr::UnaryOp { .. }
            | Expr::AtTimeZone { .. }
            | Expr::Extract { .. }
            | Expr::Ceil { .. }
            | Expr::Floor { .. }
            | Expr::Position { .. }
            | Expr::Substring { .. }
            | Expr::Trim { .. }
            | Expr::Overlay { .. }
            | Expr::Nested(_)
            | Expr::Value(_)
            | Expr::Case { .. }
            | Expr::Exists { .. }
            | Expr::Subquery(_)
            | Expr::GroupingSets(_)
            | Expr::Cube(_)
            | Expr::Rollup(_)
            | Expr::Tuple(_)
            | Expr::Array(_)
            | Expr::Interval(_)
            | Expr::Wildcard(_)
            | Expr::QualifiedWildcard(_, _) => Ok(()),
            Expr::CompoundFieldAccess { root: _, access_chain } => fields(access_chain),
            Expr::BinaryOp { left: _, op, right: _ }
            | Expr::AnyOp { left: _, compare_op: op, right: _, is_some: _ }
            | Expr::AllOp { left: _, compare_op: op, right: _ } => self.operator(op),
            Expr::Cast { kind: _, expr: _, data_type, format } => {
                if format.is_some() {
                    return Err(unsupported("CAST with a format"));
                }
                self.found.types.extend(named_type(data_type)?);
                Ok(())
            }
            Expr::TypedString(literal) => {
                self.found.types.extend(named_type(&literal.data_type)?);
                Ok(())
            }
            Expr::Collate { expr: _, collation } => Name::of(collation).map(drop),
            Expr::Function(function) => self.function(function),
            _ => Err(unsupported("this kind of expression")),
        }
    }

    fn column(&mut self, ident: &Ident) -> Result<(), DbError> {
        match Meaning::of(ident)? {
            Meaning::Name(column) => Columns::bare(&column)?,
            Meaning::Call(call) => self.found.functions.push(call),
        }
        Ok(())
    }

    fn operator(&mut self, operator: &BinaryOperator) -> Result<(), DbError> {
        if let BinaryOperator::PGCustomBinaryOperator(parts) = operator {
            // OPERATOR(schema.op): the parser keeps no quotes here either.
            let (schema, name) = match parts.as_slice() {
                [name] => (None, name),
                [schema, name] if is_plain_identifier(schema) => (Some(schema.clone()), name),
                _ => return Err(unsupported("an operator's schema in quotes or capitals")),
            };
            self.found.operators.push(Name { schema, name: name.clone() });
        }
        Ok(())
    }

    fn function(&mut self, function: &Function) -> Result<(), DbError> {
        let Function {
            name,
            uses_odbc_syntax,
            parameters,
            args,
            within_group: _,
            filter: _,
            null_treatment: _,
            over: _,
        } = function;
        if *uses_odbc_syntax || !matches!(parameters, FunctionArguments::None) {
            return Err(unsupported("this way to call a function"));
        }
        if let FunctionArguments::List(list) = args {
            for clause in &list.clauses {
                match clause {
                    FunctionArgumentClause::OrderBy(_)
                    | FunctionArgumentClause::IgnoreOrRespectNulls(_)
                    | FunctionArgumentClause::JsonNullClause(_) => {}
                    FunctionArgumentClause::JsonReturningClause(returning) => {
                        self.found.types.extend(named_type(&returning.data_type)?);
                    }
                    _ => return Err(unsupported("this clause among a function's arguments")),
                }
            }
        }
        self.found.functions.push(Name::of(name)?);
        Ok(())
    }

    fn value(&mut self, value: &Value) -> Result<(), DbError> {
        match value {
            Value::Number(_, _)
            | Value::SingleQuotedString(_)
            | Value::DollarQuotedString(_)
            | Value::EscapedStringLiteral(_)
            | Value::UnicodeStringLiteral(_)
            | Value::SingleQuotedByteStringLiteral(_)
            | Value::NationalStringLiteral(_)
            | Value::HexStringLiteral(_)
            | Value::Boolean(_)
            | Value::Null => Ok(()),
            Value::Placeholder(text) => self.placeholder(text),
            _ => Err(unsupported("this kind of literal")),
        }
    }

    fn placeholder(&mut self, text: &str) -> Result<(), DbError> {
        let number = text.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok());
        match number {
            Some(number) if (1..=SQL_PARAMETERS_MAX).contains(&number) => {
                self.found.parameters = self.found.parameters.max(number);
                Ok(())
            }
            _ => Err(DbError::rejected(
                "SQL_PARAMETER",
                format!("found the parameter {text}, expected $1 to ${SQL_PARAMETERS_MAX}"),
            )),
        }
    }
}

/// PostgreSQL takes `(x).name` for `name(x)` where x has no such field: any function of one argument, past the list.
fn fields(access_chain: &[AccessExpr]) -> Result<(), DbError> {
    let plain = |access: &AccessExpr| match access {
        AccessExpr::Dot(field) => matches!(field, Expr::Wildcard(_)),
        AccessExpr::Subscript(_) => true,
    };
    if access_chain.iter().all(plain) { Ok(()) } else { Err(unsupported("a field of an expression")) }
}

/// A node is its address for as long as the tree stands still.
fn address(query: &Query) -> usize {
    std::ptr::from_ref(query).addr()
}

fn flow(outcome: Result<(), DbError>) -> ControlFlow<DbError> {
    match outcome {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    }
}

impl Visitor for Walk {
    type Break = DbError;

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<DbError> {
        flow(if matches!(statement, Statement::Query(_)) { Ok(()) } else { Err(not_a_query()) })
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<DbError> {
        flow(self.query(query))
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<DbError> {
        self.leave_query(query);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<DbError> {
        flow(self.select(select))
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<DbError> {
        flow(self.table_factor(factor))
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<DbError> {
        flow(self.expression(expression))
    }

    fn post_visit_expr(&mut self, _expression: &Expr) -> ControlFlow<DbError> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_value(&mut self, value: &ValueWithSpan) -> ControlFlow<DbError> {
        flow(self.value(&value.value))
    }

    fn pre_visit_ident(&mut self, ident: &Ident) -> ControlFlow<DbError> {
        // `regproc 'now'` is a literal of that type, and the parser takes the text for an alias.
        flow(fold(ident).map(drop))
    }

    fn pre_visit_order_by(&mut self, order_by: &OrderBy) -> ControlFlow<DbError> {
        flow(if order_by.interpolate.is_some() { Err(unsupported("INTERPOLATE")) } else { Ok(()) })
    }

    fn pre_visit_order_by_expr(&mut self, order_by: &OrderByExpr) -> ControlFlow<DbError> {
        let using = matches!(order_by.options.sort, Some(OrderBySort::Using(_)));
        flow(if using || order_by.with_fill.is_some() { Err(unsupported("ORDER BY … USING")) } else { Ok(()) })
    }
}
