use std::{collections::BTreeSet, time::Duration};

use stockade_runtime::{CallMeter, Measurement, Used};

use super::*;
use crate::{config::TenantConfig, tenants::Tenant};

fn metrics(tenants_max: usize) -> Metrics {
    Metrics::start(&TelemetryConfig { tenants_max, otlp: None }).expect("metrics")
}

fn tenant(name: &str) -> Arc<Tenant> {
    let limits = TenantConfig::default().over(&TenantConfig::default(), "t").expect("limits");
    Arc::new(Tenant::new(name, limits))
}

fn series(text: &str, family: &str) -> BTreeSet<String> {
    let of_family = |line: &&str| line.strip_prefix(family).is_some_and(|rest| rest.starts_with(['{', ' ']));
    text.lines().filter(of_family).map(str::to_owned).collect()
}

#[test]
fn ten_thousand_tenants_are_a_bounded_number_of_series_and_nobodys_use_is_lost() {
    let metrics = metrics(100);
    let used = Used { cpu: Duration::from_millis(1), rows: 3, ..Used::default() };
    for n in 0..10_000 {
        let meter = metrics.meter(&tenant(&format!("tenant-{n}")), None);
        meter.used(used);
        meter.used(used);
    }
    let text = metrics.prometheus();
    let calls = series(&text, "stockade_tenant_calls_total");
    assert_eq!(calls.len(), 101, "100 tenants and the others");
    assert!(calls.contains("stockade_tenant_calls_total{stockade_tenant=\"tenant-99\"} 2"), "{calls:?}");
    assert!(calls.contains("stockade_tenant_calls_total{stockade_tenant=\"other\"} 19800"), "{calls:?}");
    assert!(text.lines().count() < 400, "{} lines", text.lines().count());
}

#[test]
fn no_tenant_has_a_series_where_none_may() {
    let metrics = metrics(0);
    metrics.meter(&tenant("acme"), None).used(Used::default());
    let text = metrics.prometheus();
    assert!(text.contains("stockade_tenant_calls_total{stockade_tenant=\"other\"} 1") && !text.contains("acme"));
}

#[test]
fn a_plugins_own_measurements_carry_its_name() {
    let metrics = metrics(1);
    let info = stockade_runtime::ToolInfo {
        name: "t".into(),
        title: String::new(),
        description: String::new(),
        input_schema: Arc::default(),
        output_schema: Arc::default(),
        plugin: "shop".into(),
    };
    let meter = metrics.meter(&tenant("acme"), Some(&info));
    meter.measured("baskets", Measurement::Added(2.0));
    meter.measured("baskets", Measurement::Added(0.5));
    meter.measured("basket_size_items", Measurement::Recorded(7.0));
    let text = metrics.prometheus();
    for line in [
        "stockade_plugin_count_total{stockade_metric=\"baskets\",stockade_plugin=\"shop\"} 2.5",
        "stockade_plugin_value_bucket{stockade_metric=\"basket_size_items\",stockade_plugin=\"shop\",le=\"5\"} 0",
        "stockade_plugin_value_bucket{stockade_metric=\"basket_size_items\",stockade_plugin=\"shop\",le=\"10\"} 1",
        "stockade_plugin_value_sum{stockade_metric=\"basket_size_items\",stockade_plugin=\"shop\"} 7",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
    }
}

#[test]
fn two_servers_of_a_process_count_apart() {
    let (one, two) = (metrics(1), metrics(1));
    one.limit_hit("sessions_max");
    assert!(one.prometheus().contains("stockade_limit_hits_total{stockade_limit=\"sessions_max\"} 1"));
    assert!(!two.prometheus().contains("stockade_limit_hits_total{"));
}
