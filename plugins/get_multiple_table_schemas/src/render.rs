//! Tables for people, and for agents that read text.

use crate::{Column, ForeignKey, Table};

pub(crate) fn text(tables: &[Table]) -> String {
    tables.iter().map(table).collect::<Vec<_>>().join("\n")
}

fn table(table: &Table) -> String {
    let mut text = table.name.clone();
    if let Some(comment) = &table.comment {
        text.push_str(&format!(": {comment}"));
    }
    text.push('\n');
    for column in &table.columns {
        text.push_str(&line(column));
    }
    // A view has none.
    if !table.primary_key.is_empty() {
        text.push_str(&format!("  primary key ({})\n", table.primary_key.join(", ")));
    }
    for ForeignKey { columns, references_table, references_columns } in &table.foreign_keys {
        let [columns, references_columns] = [columns, references_columns].map(|names| names.join(", "));
        text.push_str(&format!("  ({columns}) -> {references_table} ({references_columns})\n"));
    }
    for check in &table.checks {
        text.push_str(&format!("  check {check}\n"));
    }
    if table.row_security {
        text.push_str("  row security decides which rows you see\n");
    }
    text
}

fn line(Column { name, type_name, nullable, default, comment }: &Column) -> String {
    let null = if *nullable { "" } else { " not null" };
    let default = default.as_ref().map(|sql| format!(" default {sql}")).unwrap_or_default();
    let comment = comment.as_ref().map(|comment| format!(" -- {comment}")).unwrap_or_default();
    format!("  {name} {type_name}{null}{default}{comment}\n")
}
