-- Who sees which rows.
--
-- The host signs who is calling; stockade.claims() verifies it. The functions here add what the
-- application knows: whether that principal exists, is active and has the role, in the table and in
-- the claims both, and which stores are theirs. Anything else yields NULL, false or no store, and
-- never an error: no caller learns why they see nothing.
--
-- Policies are written per reader role, so that the planner gets the simplest qual for each, and
-- call the functions in a scalar subquery: an InitPlan, once a statement and not once a row.
SET LOCAL ROLE zava_owner;

-- The verified caller: one row or none. No reader may select from it; the functions below may.
CREATE VIEW retail.caller AS
WITH context AS MATERIALIZED (SELECT stockade.claims() AS claims)
SELECT p.principal_id, p.role
FROM context c
JOIN retail.principals p
  ON p.principal_id = CASE
    WHEN c.claims ->> 'principal' ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
    THEN (c.claims ->> 'principal')::uuid
  END
WHERE c.claims ->> 'tenant' = 'zava'
  AND c.claims -> 'roles' ? p.role
  AND p.is_active;
COMMENT ON VIEW retail.caller IS 'The verified caller, for the functions that policies call.';

CREATE FUNCTION retail.caller_principal() RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT c.principal_id FROM retail.caller c;
END;
COMMENT ON FUNCTION retail.caller_principal() IS 'The caller''s principal_id; NULL without a valid context.';

CREATE FUNCTION retail.caller_is_known() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT EXISTS (SELECT FROM retail.caller c);
END;
COMMENT ON FUNCTION retail.caller_is_known() IS 'Whether there is a valid caller of whatever role: the catalogue is for all of them.';

CREATE FUNCTION retail.caller_store() RETURNS uuid
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  -- A store manager with several stores, or none, is a mistake in the table: it opens no store.
  SELECT (array_agg(s.store_id))[1]
  FROM retail.caller c
  JOIN retail.principal_stores s ON s.principal_id = c.principal_id
  WHERE c.role = 'store_manager'
  HAVING count(*) = 1;
END;
COMMENT ON FUNCTION retail.caller_store() IS 'The store of a calling store manager; NULL for everybody else.';

CREATE FUNCTION retail.caller_stores() RETURNS uuid[]
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT coalesce(array_agg(s.store_id), '{}'::uuid[])
  FROM retail.caller c
  JOIN retail.principal_stores s ON s.principal_id = c.principal_id
  WHERE c.role = 'regional_manager';
END;
COMMENT ON FUNCTION retail.caller_stores() IS 'The stores of a calling regional manager; empty for everybody else.';

CREATE FUNCTION retail.caller_is_head_office() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL RESTRICTED SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT EXISTS (SELECT FROM retail.caller c WHERE c.role = 'head_office');
END;
COMMENT ON FUNCTION retail.caller_is_head_office() IS 'Whether the caller is head office.';

-- Tenant tables: by store.
DO $$
DECLARE
  tenant_table text;
BEGIN
  FOREACH tenant_table IN ARRAY ARRAY['stores', 'customers', 'inventory', 'orders', 'order_items'] LOOP
    EXECUTE format('ALTER TABLE retail.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('CREATE POLICY store_reader ON retail.%I FOR SELECT TO zava_store_reader USING (store_id = (SELECT retail.caller_store()))', tenant_table);
    EXECUTE format('CREATE POLICY region_reader ON retail.%I FOR SELECT TO zava_region_reader USING (store_id = ANY ((SELECT retail.caller_stores())::uuid[]))', tenant_table);
    EXECUTE format('CREATE POLICY office_reader ON retail.%I FOR SELECT TO zava_office_reader USING ((SELECT retail.caller_is_head_office()))', tenant_table);
  END LOOP;
END
$$;

-- The catalogue: every caller with a valid context.
DO $$
DECLARE
  catalogue_table text;
BEGIN
  FOREACH catalogue_table IN ARRAY ARRAY['categories', 'product_types', 'products'] LOOP
    EXECUTE format('ALTER TABLE retail.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', catalogue_table);
    EXECUTE format('CREATE POLICY known_caller ON retail.%I FOR SELECT TO zava_store_reader, zava_region_reader, zava_office_reader USING ((SELECT retail.caller_is_known()))', catalogue_table);
  END LOOP;
END
$$;

-- Principals: one's own row; head office, under the office role, all. The owner's policy is what
-- the functions above read by: the owner has none on any other table, so a view or function of the
-- owner's that is opened to readers by mistake still shows no tenant's rows.
DO $$
DECLARE
  principal_table text;
BEGIN
  FOREACH principal_table IN ARRAY ARRAY['principals', 'principal_stores'] LOOP
    EXECUTE format('ALTER TABLE retail.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', principal_table);
    EXECUTE format('CREATE POLICY own_rows ON retail.%I FOR SELECT TO zava_store_reader, zava_region_reader USING (principal_id = (SELECT retail.caller_principal()))', principal_table);
    EXECUTE format('CREATE POLICY office_reader ON retail.%I FOR SELECT TO zava_office_reader USING ((SELECT retail.caller_is_head_office()))', principal_table);
    EXECUTE format('CREATE POLICY owner_functions ON retail.%I FOR SELECT TO zava_owner USING (true)', principal_table);
  END LOOP;
END
$$;

GRANT USAGE ON SCHEMA retail TO zava_store_reader, zava_region_reader, zava_office_reader;
GRANT SELECT ON
  retail.stores, retail.categories, retail.product_types, retail.products, retail.customers,
  retail.inventory, retail.orders, retail.order_items, retail.principals, retail.principal_stores
TO zava_store_reader, zava_region_reader, zava_office_reader;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA retail FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
  retail.caller_principal(), retail.caller_is_known(), retail.caller_store(), retail.caller_stores(),
  retail.caller_is_head_office()
TO zava_store_reader, zava_region_reader, zava_office_reader;

RESET ROLE;
