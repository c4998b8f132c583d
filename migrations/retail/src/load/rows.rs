//! Rows as COPY's text format wants them.

use std::fmt::Write;

use jiff::Timestamp;

use crate::callers::DemoCaller;
use crate::generate::{Customer, Customers, Order, Status, Stock, World};
use crate::stores::{STORES, store_id};

/// Writes rows; a row is its fields with tabs between them and a newline behind.
#[derive(Debug, Default)]
pub(super) struct Rows {
    text: String,
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// What was written so far; begins anew.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.text).into_bytes()
    }

    /// One row. Writing to a string does not fail.
    fn row(&mut self, fields: std::fmt::Arguments<'_>) {
        let _ = self.text.write_fmt(fields);
        self.text.push('\n');
    }

    pub(super) fn reference(&mut self, table: &str, world: &World) {
        let catalogue = &world.catalogue;
        match table {
            "stores" => {
                for store in &STORES {
                    let id = store_id(store.key);
                    self.row(format_args!(
                        "{id}\t{}\t{}\t{}\t{}\t{}",
                        store.name,
                        store.location,
                        store.manager,
                        store.is_online(),
                        store.opened_on
                    ));
                }
            }
            "categories" => {
                for category in &catalogue.categories {
                    self.row(format_args!("{}\t{}", category.id, category.name));
                }
            }
            "product_types" => {
                for (product_type, category) in
                    catalogue.types.iter().filter_map(|one| Some((one, catalogue.categories.get(one.category)?)))
                {
                    self.row(format_args!("{}\t{}\t{}", product_type.id, category.id, product_type.name));
                }
            }
            _ => self.products(world),
        }
    }

    fn products(&mut self, world: &World) {
        let catalogue = &world.catalogue;
        for product in &catalogue.products {
            let (Some(category), Some(product_type)) =
                (catalogue.categories.get(product.category), catalogue.types.get(product.product_type))
            else {
                continue;
            };
            self.row(format_args!(
                "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
                product.id,
                product.sku,
                product.name,
                category.id,
                product_type.id,
                product.description,
                Cents(product.cost_cents),
                Cents(product.price_cents)
            ));
        }
    }

    pub(super) fn principal(&mut self, caller: &DemoCaller) {
        for role in caller.roles {
            self.row(format_args!("{}\t{}\t{role}", caller.principal, caller.display_name));
        }
    }

    pub(super) fn principal_stores(&mut self, caller: &DemoCaller) {
        if !caller.roles.contains(&"head_office") {
            for store in &caller.stores {
                self.row(format_args!("{}\t{}", caller.principal, store_id(*store)));
            }
        }
    }

    pub(super) fn customer(&mut self, customer: &Customer) {
        let store = store(customer.store);
        let created = Utc(i64::from(customer.created_day) * 86_400 + 18 * 3600);
        let phone = customer.phone.as_deref().unwrap_or("\\N");
        self.row(format_args!(
            "{}\t{store}\t{}\t{}\t{}\t{phone}\t{created}",
            customer.id, customer.first_name, customer.last_name, customer.email
        ));
    }

    pub(super) fn stock(&mut self, world: &World, stock: &Stock) {
        if let Some(product) = world.catalogue.products.get(stock.product) {
            // Counted before the doors opened.
            let counted = format_args!("{} 12:00:00+00", world.options.today).to_string();
            self.row(format_args!(
                "{}\t{}\t{}\t{}\t{counted}",
                store(stock.store),
                product.id,
                stock.level,
                stock.reorder_level
            ));
        }
    }

    pub(super) fn order(&mut self, customers: &Customers, order: &Order) {
        if let Some(customer) = customers.all.get(order.customer) {
            let status = match order.status {
                Status::Completed => "completed",
                Status::Pending => "pending",
                Status::Cancelled => "cancelled",
                Status::Returned => "returned",
            };
            let (store, placed, total) = (store(order.store), Utc(order.placed_s), Cents(order.total_cents()));
            self.row(format_args!("{}\t{store}\t{}\t{placed}\t{total}\t{status}", order.id, customer.id));
        }
    }

    pub(super) fn items(&mut self, world: &World, order: &Order) {
        let store = store(order.store);
        for item in &order.items {
            if let Some(product) = world.catalogue.products.get(item.product) {
                self.row(format_args!(
                    "{}\t{}\t{store}\t{}\t{}\t{}\t{}\t{}\t{}",
                    item.id,
                    order.id,
                    product.id,
                    item.quantity,
                    Cents(item.unit_price_cents),
                    item.discount_percent,
                    Cents(item.discount_cents()),
                    Cents(item.total_cents())
                ));
            }
        }
    }

    pub(super) fn embedding(&mut self, product: uuid::Uuid, embedding: &[f32], model: &str) {
        let _ = write!(self.text, "{product}\t[");
        for (index, element) in embedding.iter().enumerate() {
            let _ = write!(self.text, "{}{element}", if index == 0 { "" } else { "," });
        }
        self.row(format_args!("]\t{}", model.replace(['\\', '\t', '\n', '\r'], " ")));
    }
}

fn store(index: usize) -> uuid::Uuid {
    STORES.get(index).map(|store| store_id(store.key)).unwrap_or_default()
}

/// Dollars and cents, not negative.
struct Cents(i64);

impl std::fmt::Display for Cents {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// Seconds since 1970-01-01T00:00:00Z.
struct Utc(i64);

impl std::fmt::Display for Utc {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Timestamp::from_second(self.0).unwrap_or_default().fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_and_time_are_exact() {
        assert_eq!(format!("{} {}", Cents(1005), Cents(7)), "10.05 0.07");
        assert_eq!(Utc(0).to_string(), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn no_text_of_the_data_files_needs_escaping() {
        let world = World::new(crate::LoadOptions::tests()).unwrap();
        let mut rows = Rows::default();
        for table in ["stores", "categories", "product_types", "products"] {
            rows.reference(table, &world);
        }
        let text = String::from_utf8(rows.take()).unwrap();
        assert!(!text.contains('\\'));
        assert_eq!(text.lines().count(), 8 + 9 + 53 + 424);
        assert_eq!(text.lines().filter(|line| line.matches('\t').count() == 7).count(), 424);
    }
}
