-- What an attack could have changed for good, by name.
SELECT what, value FROM (VALUES
  ('relations', (SELECT count(*)::text FROM pg_class)),
  ('functions', (SELECT count(*)::text FROM pg_proc)),
  ('types', (SELECT count(*)::text FROM pg_type)),
  ('casts', (SELECT count(*)::text FROM pg_cast)),
  ('schemas', (SELECT count(*)::text FROM pg_namespace WHERE nspname !~ '^pg_t')),
  ('policies', (SELECT count(*) || ' ' || md5(string_agg(pg_get_expr(polqual, polrelid), ' ' ORDER BY oid)) FROM pg_policy)),
  ('forced', (SELECT count(*)::text FROM pg_class WHERE relforcerowsecurity)),
  ('rights', (SELECT md5(string_agg(relname || relacl::text, ' ' ORDER BY oid)) FROM pg_class WHERE relacl IS NOT NULL)),
  ('large-objects', (SELECT count(*)::text FROM pg_largeobject_metadata)),
  ('extensions', (SELECT count(*)::text FROM pg_extension)),
  -- For the whole cluster too. Its other databases are those of other tests.
  ('settings', (SELECT md5(string_agg(concat_ws(' ', setdatabase, setrole, setting), ' ' ORDER BY setdatabase, setrole, setting))
    FROM pg_db_role_setting, unnest(setconfig) AS setting WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())))),
  ('roles', (SELECT md5(string_agg(rolname || rolsuper || rolbypassrls || rolcreaterole, ' ' ORDER BY oid)) FROM pg_roles)),
  ('passwords', (SELECT md5(string_agg(concat(rolname, rolpassword, rolvaliduntil), ' ' ORDER BY oid)) FROM pg_authid)),
  ('memberships', (SELECT count(*)::text FROM pg_auth_members)),
  ('orders', (SELECT count(*) || ' ' || sum(total_amount) FROM retail.orders)),
  ('items', (SELECT count(*) || ' ' || sum(total_amount) FROM retail.order_items)),
  ('customers', (SELECT count(*) || ' ' || md5(string_agg(last_name, '' ORDER BY customer_id)) FROM retail.customers)),
  ('stock', (SELECT count(*) || ' ' || sum(stock_level) FROM retail.inventory)),
  ('stores', (SELECT count(*)::text FROM retail.stores)),
  ('principals', (SELECT string_agg(role || is_active, ' ' ORDER BY principal_id) FROM retail.principals)),
  ('places', (SELECT count(*)::text FROM retail.principal_stores))
) AS fingerprint (what, value)
