-- A managed server: what the lock-down took from PUBLIC in the system's own schema is given back, as
-- if its administrator, no superuser, had only been warned.
DO $$
DECLARE
  routine regprocedure;
BEGIN
  FOR routine IN
    SELECT p.oid::regprocedure FROM pg_proc AS p
    WHERE p.pronamespace = 'pg_catalog'::regnamespace
      AND NOT EXISTS (SELECT FROM pg_init_privs AS i WHERE i.classoid = 'pg_proc'::regclass AND i.objoid = p.oid)
      AND NOT has_function_privilege('public', p.oid, 'EXECUTE')
  LOOP
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', routine);
  END LOOP;
END
$$;
GRANT SELECT ON pg_catalog.pg_class, pg_catalog.pg_largeobject_metadata TO PUBLIC;
GRANT USAGE ON LANGUAGE plpgsql, sql TO PUBLIC;
