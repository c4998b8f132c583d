-- Versions of tables: what the host's query cache goes by. A transaction that changes a watched table adds a
-- random number to the table's version. It shows when the transaction commits, with a notification. A version
-- stands for one state of the rows: where a restore or a failover loses commits, it goes back with them, and what
-- comes after is another.
SET LOCAL ROLE stockade_owner;

-- A table's version is the sum of its rows' tokens. Each transaction writes a row of its own, so that no writer
-- ever waits for another's commit: one row a table, counted up, would be locked from a transaction's first
-- change to its end, and two tables changed in different orders would be a deadlock. A sequence shows before
-- the commit. Relation 0 stands for the definitions of everything: tables, policies, views, functions, rights.
CREATE TABLE IF NOT EXISTS stockade.table_changes (
    relation oid NOT NULL,
    xid      xid8 NOT NULL,
    token    numeric NOT NULL,
    PRIMARY KEY (relation, xid)
);
COMMENT ON TABLE stockade.table_changes IS 'What changed watched tables. The sum of a relation''s tokens is its version.';
REVOKE ALL ON stockade.table_changes FROM PUBLIC;

CREATE OR REPLACE FUNCTION stockade.bump(changed oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $bump$
DECLARE
    mine   xid8 := pg_current_xact_id_if_assigned();
    others numeric;
BEGIN
    -- A statement that found no row to change may be the transaction's only one.
    IF mine IS NULL THEN
        RETURN;
    END IF;
    -- A restored dump has rows of transactions of another cluster, whose numbers come again.
    INSERT INTO stockade.table_changes AS c VALUES (changed, mine, floor(random() * 9e15))
    ON CONFLICT (relation, xid) DO UPDATE SET token = c.token + EXCLUDED.token WHERE c.xmin <> mine::xid;
    IF NOT FOUND THEN
        RETURN; -- an earlier statement of this transaction was first
    END IF;
    EXECUTE format('NOTIFY stockade_changes, %L', changed);
    -- Takes over the rows of those who are done, so that the table stays small; the sum stays what it is. Rows
    -- that somebody else is taking over are left to them. At other isolation levels this could fail.
    IF current_setting('transaction_isolation') = 'read committed' THEN
        WITH old AS (
            DELETE FROM stockade.table_changes AS c
            USING (SELECT o.relation, o.xid FROM stockade.table_changes AS o
                   WHERE o.relation = changed AND o.xid <> mine FOR UPDATE SKIP LOCKED) AS o
            WHERE c.relation = o.relation AND c.xid = o.xid
            RETURNING c.token
        )
        SELECT sum(old.token) INTO others FROM old;
        UPDATE stockade.table_changes SET token = token + others
        WHERE relation = changed AND xid = mine AND others IS NOT NULL;
    END IF;
END
$bump$;
REVOKE ALL ON FUNCTION stockade.bump(oid) FROM PUBLIC;

CREATE OR REPLACE FUNCTION stockade.note_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $note$
BEGIN
    PERFORM stockade.bump(TG_RELID);
    RETURN NULL;
END
$note$;
REVOKE ALL ON FUNCTION stockade.note_change() FROM PUBLIC;

-- An application's migration calls this, as the table's owner, for each of its tables.
CREATE OR REPLACE FUNCTION stockade.watch(watched regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $watch$
DECLARE
    part regclass;
BEGIN
    -- A statement fires the triggers of the table that it names: partitions need their own.
    FOR part IN
        WITH RECURSIVE parts (oid) AS (
            SELECT watched::oid
            UNION SELECT i.inhrelid FROM pg_inherits AS i JOIN parts ON i.inhparent = parts.oid
        )
        SELECT oid::regclass FROM parts
    LOOP
        EXECUTE format('CREATE OR REPLACE TRIGGER stockade_watch AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE
            ON %s FOR EACH STATEMENT EXECUTE FUNCTION stockade.note_change()', part);
        -- Where session_replication_role switches other triggers off too.
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER stockade_watch', part);
    END LOOP;
END
$watch$;
COMMENT ON FUNCTION stockade.watch(regclass) IS
    'Lets the host keep results of queries on this table until it changes. Call it as the table''s owner, for each table that queries or policies read; again after adding a partition.';
REVOKE ALL ON FUNCTION stockade.watch(regclass) FROM PUBLIC;

CREATE OR REPLACE FUNCTION stockade.note_definition() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $definition$
BEGIN
    IF tg_event = 'sql_drop' THEN
        IF NOT EXISTS (SELECT FROM pg_event_trigger_dropped_objects() AS o WHERE NOT o.is_temporary) THEN
            RETURN;
        END IF;
    ELSIF NOT EXISTS (SELECT FROM pg_event_trigger_ddl_commands() AS c WHERE c.schema_name IS DISTINCT FROM 'pg_temp') THEN
        RETURN;
    END IF;
    PERFORM stockade.bump(0);
END
$definition$;
REVOKE ALL ON FUNCTION stockade.note_definition() FROM PUBLIC;

CREATE OR REPLACE VIEW stockade.table_versions AS
SELECT c.relation::int8 AS relation, sum(c.token)::text AS version FROM stockade.table_changes AS c GROUP BY c.relation;
COMMENT ON VIEW stockade.table_versions IS 'The versions of watched tables; relation 0: of all definitions.';
REVOKE ALL ON stockade.table_versions FROM PUBLIC;

-- Each watched table, all tables that a query on it reads (its policies' among them), and why results are not
-- kept, where they cannot be: because something is reached that is not watched, that nobody can look into, or
-- that depends on the clock.
CREATE OR REPLACE VIEW stockade.watched_tables AS
WITH RECURSIVE watched AS (
    SELECT t.tgrelid AS oid FROM pg_trigger AS t
    -- after each INSERT, DELETE, UPDATE and TRUNCATE, once a statement
    WHERE t.tgfoid = 'stockade.note_change()'::regprocedure AND t.tgtype = 4 + 8 + 16 + 32
      AND t.tgenabled = 'A' AND t.tgqual IS NULL AND t.tgattr::text = ''
), reach (root, class, object) AS (
    SELECT w.oid, 'pg_class'::regclass::oid, w.oid FROM watched AS w
    UNION
    SELECT r.root, next.class, next.object FROM reach AS r, LATERAL (
        SELECT d.refclassid AS class, d.refobjid AS object FROM pg_depend AS d
        WHERE d.classid = r.class AND d.objid = r.object AND d.deptype = 'n'
          AND d.refclassid IN ('pg_class'::regclass, 'pg_proc'::regclass)
        UNION ALL SELECT 'pg_policy'::regclass, p.oid FROM pg_policy AS p
        WHERE r.class = 'pg_class'::regclass AND p.polrelid = r.object
        UNION ALL SELECT 'pg_rewrite'::regclass, w.oid FROM pg_rewrite AS w
        WHERE r.class = 'pg_class'::regclass AND w.ev_class = r.object
        UNION ALL SELECT 'pg_class'::regclass, i.inhrelid FROM pg_inherits AS i
        WHERE r.class = 'pg_class'::regclass AND i.inhparent = r.object
        -- Whoever writes to a partition by its parent's name fires the parent's trigger alone.
        UNION ALL SELECT 'pg_class'::regclass, i.inhparent FROM pg_inherits AS i
        WHERE r.class = 'pg_class'::regclass AND i.inhrelid = r.object
        -- What the host's own function reads: a retired key is believed no more.
        UNION ALL SELECT 'pg_class'::regclass, 'stockade.context_keys'::regclass
        WHERE r.class = 'pg_proc'::regclass AND r.object = 'stockade.claims()'::regprocedure
    ) AS next
), tree AS (
    SELECT r.root, r.class, r.object, concat(p.polqual::text, w.ev_action::text, f.prosqlbody::text) AS nodes
    FROM (SELECT DISTINCT root, class, object FROM reach) AS r
    LEFT JOIN pg_policy AS p ON r.class = 'pg_policy'::regclass AND p.oid = r.object
    LEFT JOIN pg_rewrite AS w ON r.class = 'pg_rewrite'::regclass AND w.oid = r.object
    LEFT JOIN pg_proc AS f ON r.class = 'pg_proc'::regclass AND f.oid = r.object
), unfit AS (
    SELECT r.root, format('%s is not watched', r.object::regclass) AS reason
    FROM reach AS r JOIN pg_class AS c ON r.class = 'pg_class'::regclass AND c.oid = r.object
    WHERE c.relkind <> 'v' AND c.oid NOT IN (SELECT oid FROM watched)
    UNION ALL
    SELECT r.root, format('nobody can see what the function %s reads: write it as BEGIN ATOMIC', r.object::regprocedure)
    FROM reach AS r JOIN pg_proc AS f ON r.class = 'pg_proc'::regclass AND f.oid = r.object
    WHERE f.provolatile <> 'i' AND f.prosqlbody IS NULL AND f.oid <> 'stockade.claims()'::regprocedure
    UNION ALL
    SELECT t.root, format('what %s gives depends on the clock, or on chance', pg_describe_object(t.class, t.object, 0))
    FROM tree AS t
    WHERE t.nodes ~ 'SQLVALUEFUNCTION' OR EXISTS (
        SELECT FROM regexp_matches(t.nodes, ':funcid (\d+)', 'g') AS found JOIN pg_proc AS f ON f.oid = found[1]::oid
        WHERE (f.provolatile = 'v' AND f.prosqlbody IS NULL)
           OR f.pronamespace = 'pg_catalog'::regnamespace
              AND (f.proname IN ('now', 'statement_timestamp', 'transaction_timestamp') OR f.proname = 'age' AND f.pronargs = 1))
    UNION ALL
    SELECT w.oid, 'the event triggers that hear of changed definitions are not there: run the setup as a superuser'
    FROM watched AS w
    WHERE (SELECT count(*) FROM pg_event_trigger AS e
           WHERE e.evtfoid = 'stockade.note_definition()'::regprocedure AND e.evtenabled = 'A') < 2
)
SELECT n.nspname::text AS schema, c.relname::text AS name,
    ARRAY(SELECT DISTINCT r.object::int8 FROM reach AS r JOIN watched AS o ON o.oid = r.object
          WHERE r.root = w.oid AND r.class = 'pg_class'::regclass ORDER BY 1) AS tables,
    ARRAY(SELECT DISTINCT u.reason FROM unfit AS u WHERE u.root = w.oid ORDER BY 1) AS unfit
FROM watched AS w JOIN pg_class AS c ON c.oid = w.oid JOIN pg_namespace AS n ON n.oid = c.relnamespace;
COMMENT ON VIEW stockade.watched_tables IS 'Watched tables, what a query on each reads, and why its results are not kept where they cannot be.';
REVOKE ALL ON stockade.watched_tables FROM PUBLIC;

SELECT stockade.watch('stockade.context_keys');
SELECT stockade.bump(0); -- definitions have a version from the start
RESET ROLE;

DO $versions$
BEGIN
    EXECUTE format('GRANT SELECT ON stockade.table_versions, stockade.watched_tables TO %I', current_setting('stockade.setup_login'));
END
$versions$;

-- In a block of its own: what fails here takes along all that the block has done.
DO $definitions$
BEGIN
    IF (SELECT count(*) FROM pg_event_trigger WHERE evtname IN ('stockade_definitions', 'stockade_drops')) < 2 THEN
        DROP EVENT TRIGGER IF EXISTS stockade_definitions;
        DROP EVENT TRIGGER IF EXISTS stockade_drops;
        CREATE EVENT TRIGGER stockade_definitions ON ddl_command_end EXECUTE FUNCTION stockade.note_definition();
        CREATE EVENT TRIGGER stockade_drops ON sql_drop EXECUTE FUNCTION stockade.note_definition();
        ALTER EVENT TRIGGER stockade_definitions ENABLE ALWAYS;
        ALTER EVENT TRIGGER stockade_drops ENABLE ALWAYS;
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE WARNING 'only a superuser may create event triggers: without them the host keeps no results of queries';
END
$definitions$;
