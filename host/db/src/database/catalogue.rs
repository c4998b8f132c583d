//! Reads the names that the search path leads to, for the guard.
use std::collections::{HashMap, HashSet};

use sqlx::Row;
use sqlx::postgres::PgPool;

use crate::error::DbError;
use crate::guard::{Catalogue, PG_CATALOG};

const NAMES: &str = "
    SELECT 'r' AS what, n.nspname::text, c.relname::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'v', 'm', 'f', 'p', 'S')
    UNION ALL
    SELECT 't', n.nspname::text, t.typname::text FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace
     WHERE n.nspname = ANY ($1)
    UNION ALL
    SELECT DISTINCT 'f', n.nspname::text, p.proname::text FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
     WHERE (n.nspname = ANY ($1) OR n.oid = (SELECT extnamespace FROM pg_extension WHERE extname = 'vector'))
       AND NOT EXISTS (SELECT FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
                       WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
                         AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'vector')
    UNION ALL
    SELECT DISTINCT 'w', n.nspname::text, p.proname::text FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
      JOIN pg_type AS t ON t.oid = p.proargtypes[0]
     WHERE n.nspname = ANY ($1) AND p.pronargs - p.pronargdefaults <= 1 AND t.typtype IN ('c', 'd', 'p')
    UNION ALL
    SELECT DISTINCT 'o', n.nspname::text, o.oprname::text FROM pg_operator AS o JOIN pg_namespace AS n ON n.oid = o.oprnamespace
      JOIN pg_proc AS p ON p.oid = o.oprcode
     WHERE n.nspname = ANY ($1) AND n.nspname <> 'pg_catalog' AND p.provolatile <> 'i'
    UNION ALL
    SELECT 'v', n.nspname::text, '' FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'vector'";

pub(super) async fn read(pool: &PgPool, search_path: &[String]) -> Result<Catalogue, DbError> {
    let mut path = vec![PG_CATALOG.to_owned()];
    path.extend(search_path.iter().filter(|schema| *schema != PG_CATALOG).cloned());
    // In a transaction: a pooler could send what is prepared and what is bound to two backends.
    let mut transaction = pool.begin().await?;
    let rows = sqlx::query(NAMES).persistent(false).bind(&path).fetch_all(&mut *transaction).await?;
    transaction.commit().await?;
    let mut catalogue = Catalogue { path, ..Catalogue::default() };
    for row in rows {
        let (what, schema, name): (String, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let names: &mut HashMap<String, HashSet<String>> = match what.as_str() {
            "r" => &mut catalogue.relations,
            "t" => &mut catalogue.types,
            "f" => &mut catalogue.functions,
            "w" => &mut catalogue.row_functions,
            "o" => {
                catalogue.operators.insert(name);
                continue;
            }
            _ => {
                catalogue.vector_schema = schema;
                continue;
            }
        };
        names.entry(schema).or_default().insert(name);
    }
    Ok(catalogue)
}
