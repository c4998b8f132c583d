-- Every row is a reason not to start, with how to mend it. $1: the reader roles; $2: tables and views that
-- every caller may read whole, as `schema.name`.
WITH RECURSIVE mine (oid) AS (
    SELECT oid FROM pg_roles WHERE rolname = session_user
    UNION
    SELECT m.roleid FROM pg_auth_members AS m JOIN mine ON m.member = mine.oid
), role AS (
    SELECT r.* FROM pg_roles AS r JOIN mine ON mine.oid = r.oid
), asker AS (
    -- The readers, and the login: SQL under a reader may reset its role.
    SELECT oid, rolname FROM pg_roles WHERE rolname = ANY ($1) OR rolname = session_user
), readable AS (
    SELECT c.oid, c.relkind, c.relrowsecurity, c.relforcerowsecurity, c.reloptions,
        format('%I.%I', n.nspname, c.relname) AS name, string_agg(a.rolname, ', ' ORDER BY a.rolname) AS readers
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN asker AS a ON has_schema_privilege(a.oid, n.oid, 'USAGE') AND has_any_column_privilege(a.oid, c.oid, 'SELECT')
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND NOT (n.nspname = 'stockade' AND a.rolname = session_user)
      AND concat(n.nspname, '.', c.relname) <> ALL ($2)
    GROUP BY 1, 2, 3, 4, 5, 6
)
SELECT format('PostgreSQL 15 or later is needed, this is %s', current_setting('server_version'))
  WHERE current_setting('server_version_num')::int < 150000
UNION ALL SELECT format('role %I has SUPERUSER, BYPASSRLS, CREATEROLE, CREATEDB or REPLICATION: ALTER ROLE %I NOSUPERUSER NOBYPASSRLS NOCREATEROLE NOCREATEDB NOREPLICATION, or use another login', rolname, rolname)
  FROM role WHERE rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication
UNION ALL SELECT format('the login is a member of %I, which is none of reader_roles: REVOKE %I FROM whoever has it', rolname, rolname)
  FROM role WHERE rolname <> session_user AND rolname <> ALL ($1)
UNION ALL SELECT format('role %I owns %s: give it to a role without LOGIN by ALTER TABLE %s OWNER TO', rolname, c.oid::regclass, c.oid::regclass)
  FROM role JOIN pg_class AS c ON c.relowner = role.oid WHERE c.relkind <> 'i' AND c.relpersistence <> 't'
UNION ALL SELECT format('role %I owns schema %I: ALTER SCHEMA %I OWNER TO a role without LOGIN', rolname, n.nspname, n.nspname)
  FROM role JOIN pg_namespace AS n ON n.nspowner = role.oid
UNION ALL SELECT format('role %I owns function %s: ALTER FUNCTION … OWNER TO a role without LOGIN', rolname, p.oid::regprocedure)
  FROM role JOIN pg_proc AS p ON p.proowner = role.oid
UNION ALL SELECT format('role %I owns the database: ALTER DATABASE %I OWNER TO a role without LOGIN', rolname, d.datname)
  FROM role JOIN pg_database AS d ON d.datdba = role.oid WHERE d.datname = current_database()
UNION ALL SELECT format('the reader role %s does not exist: run the setup', name)
  FROM unnest($1) AS name WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
UNION ALL SELECT format('the reader role %I must not have LOGIN: ALTER ROLE %I NOLOGIN', rolname, rolname)
  FROM pg_roles WHERE rolname = ANY ($1) AND rolcanlogin
UNION ALL SELECT format('the login is no member of the reader role %I: run the setup', rolname)
  FROM pg_roles AS r WHERE rolname = ANY ($1) AND NOT EXISTS (SELECT FROM mine WHERE mine.oid = r.oid)
UNION ALL SELECT 'the schema stockade is missing, or of an older release: run the setup'
  WHERE EXISTS (SELECT FROM unnest(ARRAY['claims()', 'row_too_wide(bigint)', 'watch(regclass)', 'note_change()', 'note_definition()']) AS f
                WHERE to_regprocedure('stockade.' || f) IS NULL)
     OR EXISTS (SELECT FROM unnest(ARRAY['context_keys', 'withheld', 'audit_log', 'collections', 'table_versions', 'watched_tables']) AS c
                WHERE to_regclass('stockade.' || c) IS NULL)
UNION ALL SELECT format('the reader role %I may not execute stockade.%s, without which it can run no query: run the setup', r.rolname, f)
  FROM pg_roles AS r, unnest(ARRAY['claims()', 'row_too_wide(bigint)']) AS f
  WHERE r.rolname = ANY ($1) AND NOT has_function_privilege(r.oid, to_regprocedure('stockade.' || f), 'EXECUTE')
UNION ALL SELECT format('the login may not read stockade.%s: run the setup', c)
  FROM unnest(ARRAY['withheld', 'collections', 'table_versions', 'watched_tables']) AS c
  WHERE NOT has_table_privilege(to_regclass('stockade.' || c), 'SELECT')
UNION ALL SELECT format('role %I may create objects in schema %I: REVOKE CREATE ON SCHEMA %I FROM %I, PUBLIC', a.rolname, n.nspname, n.nspname, a.rolname)
  FROM asker AS a JOIN pg_namespace AS n ON has_schema_privilege(a.oid, n.oid, 'CREATE') WHERE n.nspname !~ '^pg_(toast|temp)'
UNION ALL SELECT format('role %I may create schemas or temporary tables: REVOKE CREATE, TEMPORARY ON DATABASE %I FROM %I, PUBLIC', a.rolname, current_database(), a.rolname)
  FROM asker AS a WHERE has_database_privilege(a.oid, current_database(), 'CREATE, TEMPORARY')
UNION ALL SELECT format('table %s, which %s may read, has no forced row security: ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY and write policies; or, where every caller may read all of it, name it in shared_tables', name, readers, name)
  FROM readable WHERE relkind IN ('r', 'p') AND NOT (relrowsecurity AND relforcerowsecurity)
UNION ALL SELECT format('table %s has row security and no policy, so nobody sees a row: CREATE POLICY … ON %s, or REVOKE SELECT ON %s FROM %s', name, name, name, readers)
  FROM readable AS t WHERE relkind IN ('r', 'p') AND relrowsecurity AND NOT EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = t.oid)
UNION ALL SELECT format('view %s, which %s may read, reads with its owner''s rights: ALTER VIEW %s SET (security_invoker = true); or, where every caller may read all of it, name it in shared_tables', name, readers, name)
  FROM readable WHERE relkind = 'v'
   AND NOT EXISTS (SELECT FROM pg_options_to_table(reloptions) AS o WHERE o.option_name = 'security_invoker' AND o.option_value::boolean)
UNION ALL SELECT format('sequence %s, which %s may read, counts everybody''s rows: REVOKE SELECT ON %s FROM %s, PUBLIC; or, where every caller may know, name it in shared_tables', name, readers, name, readers)
  FROM readable WHERE relkind = 'S'
UNION ALL SELECT format('%s %s, which %s may read, cannot have row security: REVOKE SELECT ON %s FROM %s, PUBLIC; or, where every caller may read all of it, name it in shared_tables', CASE relkind WHEN 'm' THEN 'materialised view' ELSE 'foreign table' END, name, readers, name, readers)
  FROM readable WHERE relkind IN ('m', 'f')
UNION ALL SELECT format('function %s, which %s may execute, runs as %I, whom row security does not bind: ALTER FUNCTION … OWNER TO another role, or SECURITY INVOKER', p.oid::regprocedure, string_agg(a.rolname, ', '), o.rolname)
  FROM pg_proc AS p JOIN pg_roles AS o ON o.oid = p.proowner AND (o.rolsuper OR o.rolbypassrls)
  JOIN asker AS a ON has_function_privilege(a.oid, p.oid, 'EXECUTE') AND has_schema_privilege(a.oid, p.pronamespace, 'USAGE')
  WHERE p.prosecdef AND p.pronamespace <> 'pg_catalog'::regnamespace GROUP BY p.oid, o.rolname
