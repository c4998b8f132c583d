-- The host may keep results of queries until one of these tables changes. Policies read principals and
-- principal_stores, so a caller who loses a store loses what was kept with it.
DO $$
BEGIN
  IF to_regprocedure('stockade.watch(regclass)') IS NULL THEN
    RAISE EXCEPTION 'the function stockade.watch(regclass) does not exist'
      USING HINT = 'Run the host''s own migration of this release first.';
  END IF;
  IF NOT has_function_privilege('zava_owner', 'stockade.watch(regclass)', 'EXECUTE') THEN
    GRANT EXECUTE ON FUNCTION stockade.watch(regclass), stockade.note_change() TO zava_owner;
  END IF;
END
$$;

SET LOCAL ROLE zava_owner;
SELECT stockade.watch(c.oid) FROM pg_class c WHERE c.relnamespace = 'retail'::regnamespace AND c.relkind IN ('r', 'p');
RESET ROLE;
