//! What one caller's statement sets, the next caller's does not see.
use stockade_db::ColumnValues;

use crate::bed::{Bed, sql};

/// No right keeps a function from SET, which holds for the session: an application's mistake.
const SETTER: &str = "
    CREATE FUNCTION app.leave(name text, value text) RETURNS void LANGUAGE plpgsql AS
      $$ BEGIN EXECUTE format('SET %I = %L', name, value); END $$;
    GRANT EXECUTE ON FUNCTION app.leave(text, text) TO test_reader";

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_setting_ends_with_its_transaction() {
    let bed = Bed::with(|config| config.connections_max = 1).await;
    sqlx::raw_sql(SETTER).execute(&bed.admin).await.unwrap();
    for (name, value, shown, expected) in [
        ("TimeZone", "Asia/Tokyo", "to_char('2026-01-01T00:00Z'::timestamptz, 'HH24')", "00"),
        ("DateStyle", "SQL, DMY", "'2026-02-01'::date::text", "2026-02-01"),
        ("bytea_output", "escape", "'\\x00'::bytea::text", "\\x00"),
        ("extra_float_digits", "-15", "(1.5::float8)::text", "1.5"),
    ] {
        let set = format!("SELECT app.leave('{name}', '{value}') IS NULL");
        bed.session("a").query(sql(&set), 1).await.unwrap_or_else(|error| panic!("{name}: {}", error.for_log()));
        let result = bed.session("b").query(sql(&format!("SELECT {shown}")), 1).await.unwrap();
        let ColumnValues::Texts(texts) = &result.columns[0].values else { panic!("{result:?}") };
        assert_eq!(texts.data, expected.as_bytes(), "{name}");
    }
}
