use super::*;

fn record(statistics: &Statistics, [tool, tenant, statement]: [&str; 3], took_us: u64) {
    let [tool, tenant, statement] = [tool, tenant, statement].map(Arc::from);
    statistics.record(&Sample {
        tool: &tool,
        tenant: &tenant,
        statement: (&statement, &Arc::from("select ?")),
        took: Duration::from_micros(took_us),
        rows: 2,
        failed: took_us > 900_000,
        slow: took_us > 500_000,
    });
}

#[test]
fn a_flood_of_names_is_bounded_and_displaces_nobody_who_keeps_coming() {
    let statistics = Statistics::default();
    for n in 0..10_000_u64 {
        let name = format!("once-{n}");
        record(&statistics, [&name, &name, &name], 100);
        record(&statistics, ["steady", "acme", "0123"], 150);
    }
    let seen = statistics.snapshot(1_000);
    for (dimension, steady, max) in
        [(&seen.tools, "steady", 256), (&seen.tenants, "acme", 256), (&seen.statements, "0123", 512)]
    {
        assert_eq!(dimension.top.len(), max);
        assert_eq!((dimension.top[0].name.as_str(), dimension.top[0].count), (steady, 10_000));
        let all: u64 = dimension.top.iter().map(|timing| timing.count).sum();
        assert_eq!(all + dimension.others.count, 20_000, "nothing is lost");
        assert!((dimension.others.average_ms - 0.1).abs() < 0.001, "{}", dimension.others.average_ms);
    }
    let kept = statistics.kept.lock().unwrap();
    assert!(kept.statements.held() <= 2 * STATEMENTS_MAX && kept.tenants.held() <= 2 * NAMES_MAX);
}

#[test]
fn each_figure_is_what_it_says() {
    let statistics = Statistics::default();
    (1..=100).for_each(|n| record(&statistics, ["t", "a", "s"], n * 10_000));
    let seen = statistics.snapshot(500).tools.top[0].clone();
    assert_eq!((seen.count, seen.failed, seen.slow, seen.rows), (100, 10, 50, 200));
    assert_eq!((seen.min_ms, seen.max_ms, seen.total_ms, seen.average_ms), (10.0, 1_000.0, 50_500.0, 505.0));
    for (said, truth) in [(seen.p50_ms, 500.0), (seen.p95_ms, 950.0), (seen.p99_ms, 990.0)] {
        assert!((said - truth).abs() <= truth * 0.032, "{said} for {truth}");
    }
}
