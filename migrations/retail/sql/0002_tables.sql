-- Tables, keys and what they mean. Everything from here on belongs to zava_owner.
-- A foreign key between tenant tables includes store_id: a row can never point into another store.
SET LOCAL ROLE zava_owner;

CREATE TABLE retail.stores (
  store_id uuid PRIMARY KEY,
  store_name text NOT NULL UNIQUE,
  location text NOT NULL,
  manager_name text NOT NULL,
  is_online boolean NOT NULL DEFAULT false,
  opened_on date NOT NULL
);
COMMENT ON TABLE retail.stores IS 'The stores of the chain, one of them online. A caller sees only the stores that are theirs.';
COMMENT ON COLUMN retail.stores.store_id IS 'Key of the store; the column that row security goes by in every table that has it.';
COMMENT ON COLUMN retail.stores.store_name IS 'Name of the store, e.g. Zava Retail Seattle.';
COMMENT ON COLUMN retail.stores.location IS 'City and state; for the online store, the city that it ships from.';
COMMENT ON COLUMN retail.stores.manager_name IS 'Full name of the store manager.';
COMMENT ON COLUMN retail.stores.is_online IS 'True for the web shop, false for a store with a door.';
COMMENT ON COLUMN retail.stores.opened_on IS 'First day of business.';

CREATE TABLE retail.categories (
  category_id uuid PRIMARY KEY,
  category_name text NOT NULL UNIQUE
);
COMMENT ON TABLE retail.categories IS 'The nine product categories. The same for every store.';
COMMENT ON COLUMN retail.categories.category_id IS 'Key of the category.';
COMMENT ON COLUMN retail.categories.category_name IS 'Name of the category in capitals, e.g. PLUMBING.';

CREATE TABLE retail.product_types (
  type_id uuid PRIMARY KEY,
  category_id uuid NOT NULL REFERENCES retail.categories,
  type_name text NOT NULL,
  UNIQUE (category_id, type_name)
);
COMMENT ON TABLE retail.product_types IS 'Kinds of product within a category, e.g. Pipe Sealants in PLUMBING. The same for every store.';
COMMENT ON COLUMN retail.product_types.type_id IS 'Key of the product type.';
COMMENT ON COLUMN retail.product_types.category_id IS 'The category that the type belongs to.';
COMMENT ON COLUMN retail.product_types.type_name IS 'Name of the product type, unique within its category.';

CREATE TABLE retail.products (
  product_id uuid PRIMARY KEY,
  sku text NOT NULL UNIQUE,
  product_name text NOT NULL,
  category_id uuid NOT NULL REFERENCES retail.categories,
  type_id uuid NOT NULL REFERENCES retail.product_types,
  product_description text NOT NULL,
  cost numeric(10, 2) NOT NULL CHECK (cost > 0),
  base_price numeric(10, 2) NOT NULL CHECK (base_price >= cost)
);
CREATE INDEX products_category_id ON retail.products (category_id);
CREATE INDEX products_type_id ON retail.products (type_id);
COMMENT ON TABLE retail.products IS 'The catalogue: 424 home-improvement products. The same for every store.';
COMMENT ON COLUMN retail.products.product_id IS 'Key of the product.';
COMMENT ON COLUMN retail.products.sku IS 'Stock keeping unit, e.g. PL-SEA-003: category, type and number.';
COMMENT ON COLUMN retail.products.product_name IS 'Name as printed on the shelf.';
COMMENT ON COLUMN retail.products.category_id IS 'Category of the product; that of its type.';
COMMENT ON COLUMN retail.products.type_id IS 'Product type.';
COMMENT ON COLUMN retail.products.product_description IS 'What the product is and what it is for; the text behind semantic search.';
COMMENT ON COLUMN retail.products.cost IS 'What Zava pays for one unit today, in US dollars.';
COMMENT ON COLUMN retail.products.base_price IS 'List price of one unit today, in US dollars, before discounts. What was charged at the time is order_items.unit_price.';

CREATE TABLE retail.customers (
  customer_id uuid PRIMARY KEY,
  store_id uuid NOT NULL REFERENCES retail.stores,
  first_name text NOT NULL,
  last_name text NOT NULL,
  email text NOT NULL,
  phone text,
  created_at timestamptz NOT NULL,
  CONSTRAINT customers_store_id_customer_id_key UNIQUE (store_id, customer_id),
  -- Within a store, not over all of them: a uniqueness that spans stores would answer "is this
  -- person a customer of another store?".
  CONSTRAINT customers_store_id_email_key UNIQUE (store_id, email)
);
CREATE INDEX customers_store_id_created_at ON retail.customers (store_id, created_at);
COMMENT ON TABLE retail.customers IS 'Customers, each of one store: someone who buys in two stores is a customer of each.';
COMMENT ON COLUMN retail.customers.customer_id IS 'Key of the customer.';
COMMENT ON COLUMN retail.customers.store_id IS 'The store whose customer this is.';
COMMENT ON COLUMN retail.customers.first_name IS 'Given name.';
COMMENT ON COLUMN retail.customers.last_name IS 'Family name.';
COMMENT ON COLUMN retail.customers.email IS 'E-mail address, unique within a store.';
COMMENT ON COLUMN retail.customers.phone IS 'Telephone number; null where none was given.';
COMMENT ON COLUMN retail.customers.created_at IS 'When the customer was first registered, on or before their first order.';

CREATE TABLE retail.inventory (
  store_id uuid NOT NULL REFERENCES retail.stores,
  product_id uuid NOT NULL REFERENCES retail.products,
  stock_level integer NOT NULL CHECK (stock_level >= 0),
  reorder_level integer NOT NULL CHECK (reorder_level >= 0),
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (store_id, product_id)
);
CREATE INDEX inventory_product_id ON retail.inventory (product_id);
COMMENT ON TABLE retail.inventory IS 'Stock on hand now, by store and product; a row for every pair.';
COMMENT ON COLUMN retail.inventory.store_id IS 'The store that holds the stock.';
COMMENT ON COLUMN retail.inventory.product_id IS 'The product.';
COMMENT ON COLUMN retail.inventory.stock_level IS 'Units on hand; 0 is out of stock.';
COMMENT ON COLUMN retail.inventory.reorder_level IS 'The level at which the store orders more.';
COMMENT ON COLUMN retail.inventory.updated_at IS 'When the level was last counted.';

CREATE TABLE retail.orders (
  order_id uuid PRIMARY KEY,
  store_id uuid NOT NULL REFERENCES retail.stores,
  customer_id uuid NOT NULL,
  order_date timestamptz NOT NULL,
  total_amount numeric(12, 2) NOT NULL CHECK (total_amount >= 0),
  status text NOT NULL CHECK (status IN ('completed', 'pending', 'cancelled', 'returned')),
  CONSTRAINT orders_store_id_order_id_key UNIQUE (store_id, order_id),
  CONSTRAINT orders_customer_fkey FOREIGN KEY (store_id, customer_id) REFERENCES retail.customers (store_id, customer_id)
);
CREATE INDEX orders_store_id_order_date ON retail.orders (store_id, order_date) INCLUDE (total_amount, customer_id, status);
CREATE INDEX orders_order_date ON retail.orders (order_date);
CREATE INDEX orders_customer_id_order_date ON retail.orders (customer_id, order_date);
COMMENT ON TABLE retail.orders IS 'Orders since 2020. Revenue counts those with status completed or pending.';
COMMENT ON COLUMN retail.orders.order_id IS 'Key of the order.';
COMMENT ON COLUMN retail.orders.store_id IS 'The store that sold.';
COMMENT ON COLUMN retail.orders.customer_id IS 'The customer, always one of the same store.';
COMMENT ON COLUMN retail.orders.order_date IS 'When the order was placed. Stores keep Pacific time: use order_date AT TIME ZONE ''America/Los_Angeles'' for days, weekdays and hours.';
COMMENT ON COLUMN retail.orders.total_amount IS 'Sum of the order''s items after discounts, in US dollars, without tax.';
COMMENT ON COLUMN retail.orders.status IS 'completed; pending (placed, not yet handed over); cancelled (never handed over); returned (brought back, money refunded).';

CREATE TABLE retail.order_items (
  order_item_id uuid PRIMARY KEY,
  order_id uuid NOT NULL,
  store_id uuid NOT NULL,
  product_id uuid NOT NULL REFERENCES retail.products,
  quantity integer NOT NULL CHECK (quantity > 0),
  unit_price numeric(10, 2) NOT NULL CHECK (unit_price >= 0),
  discount_percent numeric(4, 1) NOT NULL DEFAULT 0 CHECK (discount_percent BETWEEN 0 AND 100),
  discount_amount numeric(12, 2) NOT NULL DEFAULT 0 CHECK (discount_amount >= 0),
  total_amount numeric(12, 2) NOT NULL CHECK (total_amount >= 0),
  CONSTRAINT order_items_order_fkey FOREIGN KEY (store_id, order_id) REFERENCES retail.orders (store_id, order_id)
);
CREATE INDEX order_items_order_id ON retail.order_items (order_id);
CREATE INDEX order_items_store_id_order_id ON retail.order_items (store_id, order_id) INCLUDE (product_id, quantity, total_amount);
CREATE INDEX order_items_store_id_product_id ON retail.order_items (store_id, product_id);
CREATE INDEX order_items_product_id ON retail.order_items (product_id);
COMMENT ON TABLE retail.order_items IS 'Lines of the orders, a product each.';
COMMENT ON COLUMN retail.order_items.order_item_id IS 'Key of the line.';
COMMENT ON COLUMN retail.order_items.order_id IS 'The order; join on store_id as well, so that the store''s index serves.';
COMMENT ON COLUMN retail.order_items.store_id IS 'The store of the order, repeated here for row security.';
COMMENT ON COLUMN retail.order_items.product_id IS 'The product sold.';
COMMENT ON COLUMN retail.order_items.quantity IS 'Units sold.';
COMMENT ON COLUMN retail.order_items.unit_price IS 'List price of one unit on the day of the order, in US dollars, before the discount.';
COMMENT ON COLUMN retail.order_items.discount_percent IS 'Discount on the line in percent; 0 for none.';
COMMENT ON COLUMN retail.order_items.discount_amount IS 'Discount on the line in US dollars.';
COMMENT ON COLUMN retail.order_items.total_amount IS 'quantity × unit_price − discount_amount, in US dollars.';

CREATE TABLE retail.principals (
  principal_id uuid PRIMARY KEY,
  display_name text NOT NULL,
  role text NOT NULL CHECK (role IN ('store_manager', 'regional_manager', 'head_office')),
  is_active boolean NOT NULL DEFAULT true
);
COMMENT ON TABLE retail.principals IS 'Who may ask: people and programs that call tools. A caller sees their own row; head office sees all.';
COMMENT ON COLUMN retail.principals.principal_id IS 'Key of the principal; the name under which the host signs its calls.';
COMMENT ON COLUMN retail.principals.display_name IS 'A name to show.';
COMMENT ON COLUMN retail.principals.role IS 'store_manager: one store. regional_manager: the stores listed in principal_stores. head_office: all stores.';
COMMENT ON COLUMN retail.principals.is_active IS 'False locks the principal out at once: it sees nothing.';

CREATE TABLE retail.principal_stores (
  principal_id uuid NOT NULL REFERENCES retail.principals ON DELETE CASCADE,
  store_id uuid NOT NULL REFERENCES retail.stores,
  PRIMARY KEY (principal_id, store_id)
);
CREATE INDEX principal_stores_store_id ON retail.principal_stores (store_id);
COMMENT ON TABLE retail.principal_stores IS 'The stores of store managers (one each) and regional managers. A caller sees their own rows; head office sees all.';
COMMENT ON COLUMN retail.principal_stores.principal_id IS 'The principal.';
COMMENT ON COLUMN retail.principal_stores.store_id IS 'A store that the principal may see.';

RESET ROLE;
