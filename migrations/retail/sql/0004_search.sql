-- Semantic search over product descriptions.
--
-- The dimension, 384, is that of the demo's model (all-MiniLM-L6-v2). For another model change it
-- here, in EMBEDDING_DIMENSION of src/load.rs and in the collection of the host's configuration.

-- The type, its operators and its index live in whatever schema the extension was put into.
SELECT set_config('search_path',
  (SELECT format('pg_catalog, %I, pg_temp', n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'),
  true);
-- Touching the type loads the library, which makes its hnsw.* settings known ones.
SELECT '[1]'::vector;
SET LOCAL ROLE zava_owner;

CREATE TABLE retail.product_description_embeddings (
  product_id uuid PRIMARY KEY REFERENCES retail.products,
  description_embedding vector(384) NOT NULL,
  embedding_model text NOT NULL
);
CREATE INDEX product_description_embeddings_hnsw ON retail.product_description_embeddings
  USING hnsw (description_embedding vector_cosine_ops);
COMMENT ON TABLE retail.product_description_embeddings IS 'An embedding of each product''s name and description. Search by retail.search_products_by_description.';
COMMENT ON COLUMN retail.product_description_embeddings.product_id IS 'The product.';
COMMENT ON COLUMN retail.product_description_embeddings.description_embedding IS 'Unit vector made by embedding_model; compare by cosine distance (<=>).';
COMMENT ON COLUMN retail.product_description_embeddings.embedding_model IS 'The model that made the vector. Vectors of two models cannot be compared.';

ALTER TABLE retail.product_description_embeddings ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY known_caller ON retail.product_description_embeddings FOR SELECT
  TO zava_store_reader, zava_region_reader, zava_office_reader USING ((SELECT retail.caller_is_known()));
GRANT SELECT ON retail.product_description_embeddings TO zava_store_reader, zava_region_reader, zava_office_reader;

-- The inner query is in the one form that an HNSW index serves: ORDER BY distance LIMIT. The
-- threshold stands outside, on what came back. An index scan yields at most hnsw.ef_search rows
-- (40 by default) unless it may go on: hence iterative_scan, without which max_results above 40
-- would silently fall short.
CREATE FUNCTION retail.search_products_by_description(query_embedding vector, similarity_threshold float8, max_results int)
RETURNS TABLE (
  product_id uuid, sku text, product_name text, product_description text,
  category_name text, base_price numeric, similarity float8
)
LANGUAGE sql STABLE SECURITY INVOKER PARALLEL RESTRICTED ROWS 20
SET hnsw.iterative_scan = 'strict_order'
BEGIN ATOMIC
  SELECT p.product_id, p.sku, p.product_name, p.product_description, c.category_name, p.base_price, 1 - n.distance
  FROM (
    SELECT e.product_id, e.description_embedding <=> query_embedding AS distance
    FROM retail.product_description_embeddings e
    ORDER BY e.description_embedding <=> query_embedding
    LIMIT max_results
  ) n
  JOIN retail.products p ON p.product_id = n.product_id
  JOIN retail.categories c ON c.category_id = p.category_id
  WHERE 1 - n.distance >= similarity_threshold
  ORDER BY n.distance;
END;
COMMENT ON FUNCTION retail.search_products_by_description(vector, float8, int) IS 'Products whose description is nearest in meaning to the query: at most max_results, each with a cosine similarity of similarity_threshold or more, nearest first.';
REVOKE EXECUTE ON FUNCTION retail.search_products_by_description(vector, float8, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION retail.search_products_by_description(vector, float8, int)
  TO zava_store_reader, zava_region_reader, zava_office_reader;

RESET ROLE;
