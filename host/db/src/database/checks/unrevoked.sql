-- What a reader may do though the lock-down takes it away: an administrator who is no superuser could not.
-- $1: the reader roles.
SELECT format('%s may execute %s', string_agg(r.rolname, ', ' ORDER BY r.rolname), w.routine)
  FROM stockade.withheld AS w JOIN pg_roles AS r ON r.rolname = ANY ($1)
  WHERE has_function_privilege(r.oid, w.routine, 'EXECUTE') GROUP BY w.routine
UNION ALL SELECT format('%s may use the language %I', string_agg(r.rolname, ', ' ORDER BY r.rolname), l.lanname)
  FROM pg_language AS l JOIN pg_roles AS r ON r.rolname = ANY ($1)
  WHERE l.lanpltrusted AND l.lanname <> 'internal' AND has_language_privilege(r.oid, l.oid, 'USAGE') GROUP BY l.lanname
UNION ALL SELECT format('%s may read row estimates in pg_class', string_agg(r.rolname, ', ' ORDER BY r.rolname))
  FROM pg_roles AS r WHERE r.rolname = ANY ($1) AND has_column_privilege(r.oid, 'pg_catalog.pg_class', 'reltuples', 'SELECT')
  HAVING count(*) > 0
