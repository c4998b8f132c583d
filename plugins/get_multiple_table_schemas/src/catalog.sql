-- The tables of the schema in $1, as far as the caller may read them, with columns and keys.
--
-- pg_class is left out on purpose: it holds row estimates over all tenants' rows, so hardened servers
-- take it from readers. A table's row type in pg_type has its name, schema and id. 1259 is pg_class
-- itself, by its fixed id.
WITH tables AS (
  SELECT t.typrelid AS table_id, n.nspname::text AS schema_name, t.typname::text AS table_name
  FROM pg_catalog.pg_type t
  JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
  WHERE n.nspname = $1 AND t.typtype = 'c' AND has_any_column_privilege(t.typrelid, 'SELECT')
)
SELECT
  t.schema_name || '.' || t.table_name AS name,
  (SELECT d.description FROM pg_catalog.pg_description d
   WHERE d.objoid = t.table_id AND d.classoid = 1259 AND d.objsubid = 0) AS comment,
  EXISTS (SELECT 1 FROM pg_catalog.pg_policy p WHERE p.polrelid = t.table_id) AS row_security,
  (SELECT json_agg(json_build_object(
     'name', a.attname,
     'type', format_type(a.atttypid, a.atttypmod),
     'nullable', NOT a.attnotnull,
     'default', pg_get_expr(f.adbin, f.adrelid),
     'comment', d.description) ORDER BY a.attnum)
   FROM pg_catalog.pg_attribute a
   LEFT JOIN pg_catalog.pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
   LEFT JOIN pg_catalog.pg_description d
     ON d.objoid = a.attrelid AND d.classoid = 1259 AND d.objsubid = a.attnum
   WHERE a.attrelid = t.table_id AND a.attnum > 0 AND NOT a.attisdropped
     AND has_column_privilege(a.attrelid, a.attnum, 'SELECT')) AS columns,
  (SELECT json_agg(json_build_object(
     'kind', c.contype,
     'columns', (SELECT json_agg(a.attname ORDER BY k.place)
       FROM unnest(c.conkey) WITH ORDINALITY AS k(number, place)
       JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number),
     'references_table', (SELECT n.nspname || '.' || r.typname
       FROM pg_catalog.pg_type r JOIN pg_catalog.pg_namespace n ON n.oid = r.typnamespace
       WHERE r.typrelid = c.confrelid AND r.typtype = 'c'),
     'references_columns', (SELECT json_agg(a.attname ORDER BY k.place)
       FROM unnest(c.confkey) WITH ORDINALITY AS k(number, place)
       JOIN pg_catalog.pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.number),
     'definition', pg_get_constraintdef(c.oid)) ORDER BY c.contype, c.conname)
   FROM pg_catalog.pg_constraint c
   WHERE c.conrelid = t.table_id
     AND (c.contype IN ('p', 'u', 'c') OR c.contype = 'f' AND has_any_column_privilege(c.confrelid, 'SELECT'))) AS constraints
FROM tables t
ORDER BY 1
