-- What PUBLIC may do by default and a reader must not: run hidden SQL, wait, signal, keep something
-- for the next borrower of a connection, or count other tenants' rows. REVOKE by an administrator who
-- is not a superuser does nothing but warn (managed servers): the last statement says what is left, and
-- the host asks again when it starts.
SET LOCAL ROLE stockade_owner;
CREATE OR REPLACE VIEW stockade.withheld AS
SELECT p.oid::regprocedure AS routine
FROM pg_catalog.pg_proc AS p
WHERE p.pronamespace = 'pg_catalog'::regnamespace
  AND (
      -- settings outlive the statement; a later one could believe them, or the numbers that follow from a seed
      p.proname IN ('set_config', 'setseed')
      -- locks and notifications outlive the transaction, or reach other sessions
      OR p.proname ~ '^pg_(try_)?advisory_'
      OR p.proname IN ('pg_notify', 'pg_export_snapshot', 'pg_logical_emit_message')
      OR p.proname IN ('pg_terminate_backend', 'pg_cancel_backend')
      OR p.proname ~ '^pg_sleep'
      -- SQL given as text: no parser sees it
      OR p.proname = 'ts_stat'
      OR (p.proname = 'ts_rewrite' AND p.pronargs = 2)
      OR p.proname ~ '^(query|table|cursor|schema|database)_to_xml'
      -- large objects and files
      OR p.proname ~ '^lo_' OR p.proname IN ('lowrite', 'loread')
      OR p.proname ~ '^pg_(read|ls|stat)_(binary_)?(file|dir)'
      -- other sessions, and numbers that count other tenants' rows
      OR p.proname ~ '^pg_stat_(get|reset|clear|force|have)'
      OR p.proname ~ '^pg_(relation|total_relation|table|indexes|database|tablespace)_?(size|filepath|filenode)$'
      OR p.proname IN ('pg_lock_status', 'pg_blocking_pids', 'pg_safe_snapshot_blocking_pids',
                       'pg_isolation_test_session_is_blocked', 'pg_show_all_settings',
                       'pg_prepared_statement', 'pg_prepared_xact', 'pg_cursor', 'pg_listening_channels',
                       'pg_notification_queue_usage', 'pg_xact_commit_timestamp', 'pg_xact_commit_timestamp_origin',
                       'pg_last_committed_xact', 'pg_get_multixact_members', 'pg_sequence_last_value', 'pg_get_wal_summarizer_state', 'currtid2')
      -- would assign a transaction id, in a transaction that must stay read-only
      OR p.proname IN ('pg_current_xact_id', 'txid_current')
  );
COMMENT ON VIEW stockade.withheld IS 'The system''s functions that no reader may execute.';
REVOKE ALL ON stockade.withheld FROM PUBLIC;

-- The host wraps callers' queries so that a row too wide for its memory ends here, before it is sent.
-- VOLATILE, or the planner would call it where it only estimates.
CREATE OR REPLACE FUNCTION stockade.row_too_wide(bytes_max bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $row$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'program_limit_exceeded',
        MESSAGE = format('a row of the result is wider than %s bytes, the most that one may have here', bytes_max);
END
$row$;
COMMENT ON FUNCTION stockade.row_too_wide(bigint) IS 'Fails a statement whose row would be wider than the host may hold.';
REVOKE ALL ON FUNCTION stockade.row_too_wide(bigint) FROM PUBLIC;
RESET ROLE;

DO $lockdown$
DECLARE
    login   text := current_setting('stockade.setup_login');
    readers text[] := string_to_array(current_setting('stockade.setup_readers'), ',');
    name    text;
    routine regprocedure;
    catalog_columns text;
    vector_schema   text;
BEGIN
    FOR routine IN
        SELECT w.routine FROM stockade.withheld AS w JOIN pg_proc AS p ON p.oid = w.routine
        WHERE EXISTS (SELECT FROM aclexplode(COALESCE(p.proacl, acldefault('f', p.proowner))) AS a
                      WHERE a.grantee = 0 AND a.privilege_type = 'EXECUTE')
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', routine);
    END LOOP;

    -- The host cancels its own statements when a call ends early.
    IF NOT has_function_privilege(login, 'pg_catalog.pg_cancel_backend(int)', 'EXECUTE') THEN
        EXECUTE format('GRANT EXECUTE ON FUNCTION pg_catalog.pg_cancel_backend(int) TO %I', login);
    END IF;

    -- Row and page estimates of a table count every tenant's rows. The other columns stay readable:
    -- tools describe tables from them.
    IF has_column_privilege('stockade_owner', 'pg_catalog.pg_class', 'reltuples', 'SELECT') THEN
        SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO catalog_columns
        FROM pg_attribute
        WHERE attrelid = 'pg_catalog.pg_class'::regclass AND NOT attisdropped
          AND attname NOT IN ('reltuples', 'relpages', 'relallvisible', 'relallfrozen');
        REVOKE SELECT ON pg_catalog.pg_class FROM PUBLIC;
        EXECUTE format('GRANT SELECT (%s) ON pg_catalog.pg_class TO PUBLIC', catalog_columns);
    END IF;
    BEGIN
        REVOKE ALL ON pg_catalog.pg_largeobject, pg_catalog.pg_largeobject_metadata FROM PUBLIC;
    EXCEPTION WHEN insufficient_privilege THEN
        NULL; -- A managed server's administrator; the functions that read them are withheld, and none holds a tenant's row.
    END;

    -- No temporary tables, no new objects, no code.
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), login);
    REVOKE ALL ON SCHEMA public FROM PUBLIC;
    REVOKE USAGE ON LANGUAGE plpgsql, sql FROM PUBLIC;
    GRANT USAGE ON LANGUAGE plpgsql TO stockade_owner; -- a later run replaces stockade.claims()

    SELECT quote_ident(n.nspname) INTO vector_schema
    FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
    WHERE e.extname = 'vector';
    FOREACH name IN ARRAY readers LOOP
        EXECUTE format('GRANT USAGE ON SCHEMA %s TO %I', vector_schema, name);
        EXECUTE format('GRANT USAGE ON SCHEMA stockade TO %I', name);
        EXECUTE format('GRANT EXECUTE ON FUNCTION stockade.claims(), stockade.row_too_wide(bigint) TO %I', name);
    END LOOP;
    EXECUTE format('GRANT USAGE ON SCHEMA %s TO %I', vector_schema, login);
    -- For the host's question at its start.
    EXECUTE format('GRANT USAGE ON SCHEMA stockade TO %I', login);
    EXECUTE format('GRANT SELECT ON stockade.withheld TO %I', login);
END
$lockdown$;

-- What the readers could not be kept from, for the log of whoever ran this.
SELECT DISTINCT w.routine::text AS still_executable
FROM stockade.withheld AS w, unnest(string_to_array(current_setting('stockade.setup_readers'), ',')) AS reader
WHERE has_function_privilege(reader, w.routine, 'EXECUTE');
