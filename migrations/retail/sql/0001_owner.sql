-- Who owns the application, and what must be there before it.
-- Runs as an administrator, who need not be a superuser: CREATEROLE, and CREATE on the database.

DO $$
DECLARE
  wanted text;
BEGIN
  FOREACH wanted IN ARRAY ARRAY['zava_store_reader', 'zava_region_reader', 'zava_office_reader'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
      RAISE EXCEPTION 'the reader role % does not exist', wanted
        USING HINT = 'List it under reader_roles in the host''s configuration and run the host''s own migration first: it makes the reader roles.';
    END IF;
  END LOOP;
  IF to_regprocedure('stockade.claims()') IS NULL THEN
    RAISE EXCEPTION 'the function stockade.claims() does not exist'
      USING HINT = 'Run the host''s own migration first: it brings the signed context that these policies stand on.';
  END IF;
  IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'vector') THEN
    RAISE EXCEPTION 'the extension vector is not installed in this database'
      USING HINT = 'CREATE EXTENSION vector; (pgvector 0.8 or later)';
  END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'zava_owner') THEN
    CREATE ROLE zava_owner NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS;
  END IF;
  -- An administrator who is not a superuser acts for the owner as its member. Having made the role is
  -- not enough: since PostgreSQL 16 that gives the right to grant it, not to take it.
  IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
    EXECUTE format('GRANT zava_owner TO %I', current_user);
  END IF;
END
$$;

-- The owner's rights outside its own schema, each only where a locked-down server has taken it away.
DO $$
DECLARE
  extension_schema name := (SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector');
  language_name name;
BEGIN
  FOREACH language_name IN ARRAY ARRAY['sql', 'plpgsql']::name[] LOOP
    IF NOT has_language_privilege('zava_owner', language_name, 'USAGE') THEN
      EXECUTE format('GRANT USAGE ON LANGUAGE %I TO zava_owner', language_name);
    END IF;
  END LOOP;
  IF NOT has_schema_privilege('zava_owner', extension_schema, 'USAGE') THEN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO zava_owner', extension_schema);
  END IF;
  IF NOT has_schema_privilege('zava_owner', 'stockade', 'USAGE') THEN
    GRANT USAGE ON SCHEMA stockade TO zava_owner;
  END IF;
  IF NOT has_function_privilege('zava_owner', 'stockade.claims()', 'EXECUTE') THEN
    GRANT EXECUTE ON FUNCTION stockade.claims() TO zava_owner;
  END IF;
END
$$;

CREATE SCHEMA retail AUTHORIZATION zava_owner;
COMMENT ON SCHEMA retail IS 'Zava Retail, a home-improvement chain in Washington state: stores, customers, products, stock and sales. Row security shows each caller the stores that are theirs.';

-- Bookkeeping that no caller sees: which migrations ran (made by the migrator), and what was loaded.
GRANT USAGE ON SCHEMA zava_setup TO zava_owner;
CREATE TABLE zava_setup.loads (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  size text NOT NULL,
  today date NOT NULL,
  seed bigint NOT NULL,
  embedding_model text NOT NULL,
  products bigint NOT NULL,
  customers bigint NOT NULL,
  orders bigint NOT NULL,
  order_items bigint NOT NULL,
  loaded_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE zava_setup.loads IS 'The data set that is loaded; empty while none is, or while a load has not ended.';
CREATE TABLE zava_setup.set_aside (
  kind text NOT NULL CHECK (kind IN ('constraint', 'index')),
  table_name text NOT NULL,
  object_name text NOT NULL,
  referenced_table text,
  definition text NOT NULL,
  PRIMARY KEY (table_name, object_name)
);
COMMENT ON TABLE zava_setup.set_aside IS 'Foreign keys and indexes that a load has taken away and will put back; empty between loads.';
GRANT SELECT, INSERT, UPDATE, DELETE ON zava_setup.loads, zava_setup.set_aside TO zava_owner;
