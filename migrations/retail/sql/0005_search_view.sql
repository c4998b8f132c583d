-- What the host searches: each product with its embedding and its words, in one place.
--
-- A view of the caller's own rights, so that row security holds as on the tables. There is no index for the
-- words: under row security PostgreSQL may use an index only for operators that are marked leakproof, and
-- @@ is not (CREATE POLICY, Notes); 424 rows are read in no time.
SELECT set_config('search_path',
  (SELECT format('pg_catalog, %I, pg_temp', n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'),
  true);
SET LOCAL ROLE zava_owner;

CREATE VIEW retail.product_search WITH (security_invoker = true) AS
SELECT p.product_id, p.sku, p.product_name, p.product_description, c.category_name, p.base_price,
  p.product_name || '. ' || p.product_description AS search_text,
  to_tsvector('english', p.product_name || '. ' || p.product_description) AS search_words,
  e.description_embedding, e.embedding_model
FROM retail.products p
JOIN retail.categories c ON c.category_id = p.category_id
LEFT JOIN retail.product_description_embeddings e ON e.product_id = p.product_id;
COMMENT ON VIEW retail.product_search IS 'Products as semantic search finds them; for everything else use retail.products.';
COMMENT ON COLUMN retail.product_search.search_text IS 'The text that is embedded: name and description.';
COMMENT ON COLUMN retail.product_search.search_words IS 'The same text''s words, as tsvector.';
COMMENT ON COLUMN retail.product_search.description_embedding IS 'The embedding; null where there is none yet.';
GRANT SELECT ON retail.product_search TO zava_store_reader, zava_region_reader, zava_office_reader;

-- `stockade embed` writes through the view.
CREATE FUNCTION retail.keep_embedding() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO retail.product_description_embeddings (product_id, description_embedding, embedding_model)
  VALUES (NEW.product_id, NEW.description_embedding, NEW.embedding_model)
  ON CONFLICT (product_id) DO UPDATE SET
    description_embedding = excluded.description_embedding, embedding_model = excluded.embedding_model;
  RETURN NEW;
END
$$;
REVOKE EXECUTE ON FUNCTION retail.keep_embedding() FROM PUBLIC;
CREATE TRIGGER keep_embedding INSTEAD OF UPDATE ON retail.product_search
  FOR EACH ROW EXECUTE FUNCTION retail.keep_embedding();

RESET ROLE;
