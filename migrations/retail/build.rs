//! Rebuilds the crate when a migration is added: `sqlx::migrate!` watches the files that it knows.
fn main() {
    println!("cargo:rerun-if-changed=sql");
}
