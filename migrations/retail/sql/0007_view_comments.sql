-- The rest of what agents read about the view that is searched.
SET LOCAL ROLE zava_owner;

COMMENT ON COLUMN retail.product_search.product_id IS 'Key of the product.';
COMMENT ON COLUMN retail.product_search.sku IS 'Stock keeping unit, e.g. PL-SEA-003: category, type and number.';
COMMENT ON COLUMN retail.product_search.product_name IS 'Name as printed on the shelf.';
COMMENT ON COLUMN retail.product_search.product_description IS 'What the product is and what it is for.';
COMMENT ON COLUMN retail.product_search.category_name IS 'Name of the category in capitals, e.g. PLUMBING.';
COMMENT ON COLUMN retail.product_search.base_price IS 'List price of one unit today, in US dollars, before discounts.';
COMMENT ON COLUMN retail.product_search.embedding_model IS 'The model that made the embedding; null where there is none yet.';

RESET ROLE;
