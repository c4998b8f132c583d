//! A tool for each way to misbehave. The end-to-end suite calls each one, and then calls somebody
//! else's tool to see that it still works.

use std::hint::black_box;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stockade_sdk::{Error, Tool, cache, caller, log, metrics, progress, sql, vector};

/// No arguments.
#[derive(Deserialize, JsonSchema)]
struct Nothing {}

/// What a tool that was not stopped says.
#[derive(Serialize, JsonSchema)]
struct Survived {
    /// How far it came.
    #[schemars(range(max = 1000000))]
    count: u64,
    /// Nothing of use.
    #[serde(skip_serializing_if = "String::is_empty")]
    padding: String,
}

macro_rules! hostile {
    ($($type:ident $name:literal $description:literal => $body:expr;)*) => {
        $(
            struct $type;

            impl Tool for $type {
                const NAME: &'static str = $name;
                const TITLE: &'static str = $name;
                const DESCRIPTION: &'static str = $description;
                type Input = Nothing;
                type Output = Survived;

                fn call(_: Nothing) -> Result<Survived, Error> {
                    let run: fn() -> Result<u64, Error> = $body;
                    let padding = if $name == "huge_result" { "x".repeat(1 << 20) } else { String::new() };
                    run().map(|count| Survived { count, padding })
                }
            }
        )*
        stockade_sdk::plugin!($($type),*);
    };
}

hostile! {
    Spin "spin" "Never returns." => || loop { black_box(0); };
    EatMemory "eat_memory" "Allocates without end." => || {
        let mut kept: Vec<Vec<u8>> = Vec::new();
        loop { kept.push(black_box(vec![1; 1 << 20])); }
    };
    Recurse "recurse" "Calls itself without end." => || {
        #[expect(unconditional_recursion, reason = "that is the point")]
        fn deeper(n: u64) -> u64 { black_box(deeper(black_box(n) + 1)) + 1 }
        Ok(deeper(0))
    };
    RecurseDeep "recurse_deep" "Calls itself a thousand times, which is allowed." => || {
        fn deeper(n: u64) -> u64 { if n == 0 { 0 } else { black_box(deeper(black_box(n - 1))) + 1 } }
        Ok(deeper(1000))
    };
    LargeFrames "large_frames" "Fills the stack with a few large frames." => || {
        #[expect(unconditional_recursion, reason = "that is the point")]
        fn deeper(n: u64) -> u64 { let frame = black_box([n; 4096]); black_box(deeper(frame[7] + 1)) + frame[9] }
        Ok(deeper(0))
    };
    Abort "abort" "Aborts." => || std::process::abort();
    HugeResult "huge_result" "Returns more than it may." => || Ok(0);
    HugeLine "huge_line" "Writes one line of four million characters." => || {
        log::write(log::Level::Info, &"x".repeat(4 << 20));
        Ok(1)
    };
    LogStorm "log_storm" "Writes ten thousand lines." => || {
        for n in 0..10_000 { log::info!("line {n} {}", "x".repeat(200)); }
        Ok(10_000)
    };
    MemoryThroughHost "memory_through_host" "Asks the host for more than its memory holds." => || {
        let rows = sql::query("SELECT repeat('x', 1000000) AS x FROM generate_series(1, 30)", ())?;
        Ok(rows.row_count.into())
    };
    ManyBytes "many_bytes" "Asks the database for more bytes than it may have." => || {
        let rows = sql::query("SELECT repeat('x', 1000) AS x FROM generate_series(1, 90)", ())?;
        assert!(rows.truncated, "there are more bytes than bytes_max");
        Ok(rows.row_count.into())
    };
    TenThousandCalls "ten_thousand_calls" "Calls the host ten thousand times, which it may." => || {
        (0..10_000).map(|_| cache::delete("a:k").map(|()| 1)).sum()
    };
    BurnCpu "burn_cpu" "Computes for longer than it may." => || loop { black_box(0); };
    OddNumbers "odd_numbers" "Puts NaN, infinities and extremes wherever a number goes." => || {
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN_POSITIVE, -0.0, -1.0];
        let mut refused = 0;
        for number in odd {
            metrics::add("odd", number);
            metrics::record("odd", number);
            metrics::record("a name that nobody asked for", number);
            progress::report(number, Some(number), Some("\u{1b}[2J"));
            refused += u64::from(vector::search("products", "paint", 1, number).is_err());
            refused += u64::from(vector::search_embedding("products", vec![number as f32; 384], 1, 0.0).is_err());
            // PostgreSQL has NaN and infinities.
            sql::query("SELECT $1::float8 AS x", (number,))?;
        }
        refused += u64::from(vector::search_embedding("products", vec![0.0; 383], 1, 0.0).is_err());
        refused += u64::from(vector::embed("products", &vec![String::new(); 65]).is_err());
        refused += u64::from(vector::search("customers", "paint", 1, 0.0).is_err());
        for ttl_s in [0, u32::MAX] { refused += u64::from(cache::set_bytes("a:k", b"v", ttl_s).is_err()); }
        for key in ["", &format!("a:{}", "k".repeat(255))] { refused += u64::from(cache::set_bytes(key, b"v", 1).is_err()); }
        refused += u64::from(cache::set_bytes("a:k", &vec![0; (1 << 20) + 1], 1).is_err());
        for rows_max in [0, 1, u32::MAX] {
            let rows = sql::query_max("SELECT i FROM generate_series(1, 3) AS s(i)", (), rows_max)?;
            assert_eq!(rows.row_count, rows_max.min(3));
        }
        for number in [i64::MIN, -1, i64::MAX] { sql::query("SELECT $1::int8 AS x", (number,))?; }
        for number in [i64::MIN, i64::MAX] {
            // Out of the range of a time: an error or an infinity, and nothing worse.
            let _ = sql::query("SELECT $1::timestamptz AS x", [sql::Value::Timestamp(number)]);
        }
        for number in [i32::MIN, i32::MAX] {
            let _ = sql::query("SELECT $1::date AS x", [sql::Value::Date(number)]);
        }
        Ok(refused)
    };
    EmbedMany "embed_many" "Embeds texts that nobody has asked for before." => || {
        let new = caller::request_id();
        let texts: Vec<_> = (0..4).map(|n| format!("{new} {n}{}", " paint".repeat(60))).collect();
        Ok(vector::embed("products", &texts)?.len() as u64)
    };
    OtherNamespace "other_namespace" "Keeps a value where it may not." => || {
        cache::set("other:k", &1_u8, 60)?;
        Ok(0)
    };
    Panic "panic" "Panics." => || panic!("secret of the plugin");
    Lie "lie" "Breaks its own output schema." => || Ok(2_000_000);
    FloodLog "flood_log" "Writes many lines, with control characters." => || {
        for n in 0..100 { log::info!("line {n}\n\u{1b}[31mforged=true"); }
        Ok(100)
    };
    ManyHostCalls "many_host_calls" "Calls the host more often than it may." => || {
        (0..1000).map(|_| cache::delete("a:k").map(|()| 1)).sum()
    };
    SlowQuery "slow_query" "Runs a query that takes longer than the call may." => || {
        sql::query("SELECT count(*) AS n FROM generate_series(1, 100000000000) AS s(i)", ())?;
        Ok(0)
    };
    SpinLate "spin_late" "Is told that its time is over, and computes on." => || {
        let late = sql::query("SELECT count(*) AS n FROM generate_series(1, 100000000000) AS s(i)", ());
        loop {
            std::hint::black_box(&late);
        }
    };
    KeptCursor "kept_cursor" "Returns with its cursor open." => || {
        let mut cursor = sql::Cursor::open("SELECT order_id FROM retail.orders", ())?;
        let rows = cursor.next(10)?.map_or(0, |batch| batch.row_count);
        std::mem::forget(cursor);
        Ok(rows.into())
    };
    TwoCursors "two_cursors" "Opens a second cursor beside the first." => || {
        let _first = sql::Cursor::open("SELECT 1 AS one", ())?;
        let _second = sql::Cursor::open("SELECT 1 AS one", ())?;
        Ok(2)
    };
    ManyRows "many_rows" "Asks for more rows than it may have." => || {
        let rows = sql::query("SELECT order_id FROM retail.orders", ())?;
        assert!(rows.truncated, "there are more orders than rows_max");
        Ok(rows.row_count.into())
    };
    ThreeLevels "three_levels" "Writes a line of each level." => || {
        log::debug!("level debug");
        log::info!("level info");
        log::warn!("level warn");
        Ok(3)
    };
    KeepForNext "keep_for_next" "Counts its calls, in a static and in the cache." => || {
        use std::sync::atomic::{AtomicU64, Ordering};
        static CALLS: AtomicU64 = AtomicU64::new(0);
        assert_eq!(CALLS.fetch_add(1, Ordering::Relaxed), 0, "an instance served two calls");
        let before = cache::get::<u64>("a:calls")?.unwrap_or(0);
        cache::set("a:calls", &(before + 1), 60)?;
        Ok(before)
    };
}
