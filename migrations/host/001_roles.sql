-- Roles. The names come from settings of the administrator's transaction (see README.md); every
-- change is made only where something differs, so that a second run touches nothing.
DO $roles$
DECLARE
    login       text := current_setting('stockade.setup_login');
    readers     text[] := string_to_array(current_setting('stockade.setup_readers'), ',');
    secret      text := NULLIF(current_setting('stockade.setup_password'), '');
    version_num int := current_setting('server_version_num')::int;
    name        text;
    found       pg_roles;
    other       text;
    setting     text[];
BEGIN
    IF version_num < 150000 THEN
        RAISE EXCEPTION 'PostgreSQL 15 or later is needed, this is %', current_setting('server_version');
    END IF;
    IF current_setting('server_encoding') <> 'UTF8' THEN
        RAISE EXCEPTION 'the database must be encoded in UTF8, this one is in %', current_setting('server_encoding');
    END IF;

    FOREACH name IN ARRAY ARRAY['stockade_owner', login] || readers LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
                EXECUTE format('CREATE ROLE %I NOINHERIT %s', name, CASE name WHEN login THEN 'LOGIN' ELSE 'NOLOGIN' END);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL; -- another run, in another database of this cluster, was first
        END;

        -- A role that was here before with more rights than we would give is refused, not mended:
        -- somebody uses it for something else.
        SELECT * INTO STRICT found FROM pg_roles WHERE rolname = name;
        IF found.rolsuper OR found.rolbypassrls OR found.rolcreaterole OR found.rolcreatedb OR found.rolreplication THEN
            RAISE EXCEPTION 'role % must not have SUPERUSER, BYPASSRLS, CREATEROLE, CREATEDB or REPLICATION', name;
        END IF;
        IF found.rolcanlogin <> (name = login) THEN
            RAISE EXCEPTION 'role % must %have LOGIN', name, CASE name WHEN login THEN '' ELSE 'not ' END;
        END IF;
        IF found.rolinherit AND name = login THEN
            EXECUTE format('ALTER ROLE %I NOINHERIT', name);
        END IF;
        SELECT string_agg(g.rolname, ', ') INTO other
        FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
        WHERE m.member = found.oid AND NOT (name = login AND g.rolname = ANY (readers));
        IF other IS NOT NULL THEN
            RAISE EXCEPTION 'role % must not be a member of %', name, other;
        END IF;
    END LOOP;

    FOREACH name IN ARRAY readers LOOP
        IF NOT EXISTS (SELECT FROM pg_auth_members m
                       WHERE m.roleid = name::regrole AND m.member = login::regrole) THEN
            EXECUTE format('GRANT %I TO %I %s', name, login,
                           CASE WHEN version_num >= 160000 THEN 'WITH INHERIT FALSE, SET TRUE' ELSE '' END);
        END IF;
    END LOOP;

    IF secret IS NOT NULL THEN
        EXECUTE format('ALTER ROLE %I PASSWORD %L', login, secret);
    END IF;

    -- Second nets: the host sets tighter ones for each transaction. Only a superuser may set
    -- temp_file_limit, so on a managed server it stays as it is.
    FOREACH setting SLICE 1 IN ARRAY ARRAY[
        ['default_transaction_read_only', 'on'],
        ['statement_timeout', '60s'],
        ['lock_timeout', '5s'],
        ['idle_in_transaction_session_timeout', '60s'],
        ['temp_file_limit', '1GB']
    ] LOOP
        BEGIN
            EXECUTE format('ALTER ROLE %I IN DATABASE %I SET %I = %L', login, current_database(), setting[1], setting[2]);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE WARNING 'the administrator may not set % for %', setting[1], login;
        END;
    END LOOP;
    SELECT * INTO STRICT found FROM pg_roles WHERE rolname = login;
    IF found.rolconnlimit = -1 THEN
        EXECUTE format('ALTER ROLE %I CONNECTION LIMIT 100', login);
    END IF;

    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('GRANT stockade_owner TO %I', current_user);
    END IF;
END
$roles$;
