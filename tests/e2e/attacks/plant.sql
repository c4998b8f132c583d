-- Everything that is not Seattle's carries a canary, in every column that can hold one.
UPDATE retail.stores SET store_name = 'Kanarie ' || store_name, location = 'Kanarie', manager_name = 'Kanarie', opened_on = '1977-03-04'
  WHERE store_id <> '5a7a0000-0001-4000-8000-000000000001';
UPDATE retail.customers SET first_name = 'Kanarie', last_name = 'Kanarie', email = customer_id || '@kanarie.example',
    phone = '7734077347', created_at = '1977-03-04 12:00+00'
  WHERE store_id <> '5a7a0000-0001-4000-8000-000000000001';
UPDATE retail.orders SET total_amount = 7734077347.73, order_date = '1977-03-04 12:00+00'
  WHERE store_id <> '5a7a0000-0001-4000-8000-000000000001';
UPDATE retail.order_items SET quantity = 1773407734, total_amount = 7734077347.73, discount_amount = 7734077347.73
  WHERE store_id <> '5a7a0000-0001-4000-8000-000000000001';
UPDATE retail.inventory SET stock_level = 1773407734, reorder_level = 1773407734, updated_at = '1977-03-04 12:00+00'
  WHERE store_id <> '5a7a0000-0001-4000-8000-000000000001';
UPDATE retail.principals SET display_name = 'Kanarie ' || display_name
  WHERE principal_id <> '5a7a0000-0002-4000-8000-000000000065';

-- Keys that are canaries themselves.
CREATE TEMP TABLE other AS
  SELECT s.store_id, ('7734cafe-0000-4000-8000-' || lpad(row_number() OVER ()::text, 12, '0'))::uuid AS id,
    (SELECT min(product_id::text)::uuid FROM retail.products) AS product_id
  FROM retail.stores s WHERE store_id <> '5a7a0000-0001-4000-8000-000000000001';
INSERT INTO retail.customers SELECT id, store_id, 'Kanarie', 'Kanarie', id || '@kanarie.example', NULL, now() FROM other;
INSERT INTO retail.orders SELECT id, store_id, id, now(), 7734077347.73, 'completed' FROM other;
INSERT INTO retail.order_items SELECT id, id, store_id, product_id, 1, 7, 0, 0, 7734077347.73 FROM other;
INSERT INTO retail.principals SELECT id, 'Kanarie', 'store_manager', true FROM other;
INSERT INTO retail.principal_stores SELECT id, store_id FROM other;
DROP TABLE other;
-- Statistics then hold canaries too.
ANALYZE;
