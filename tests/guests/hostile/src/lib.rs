//! A tool for each way to misbehave. The end-to-end suite calls each one, and then calls somebody
//! else's tool to see that it still works.

use std::hint::black_box;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stockade_sdk::{Error, Tool, cache, log, sql};

/// No arguments.
#[derive(Deserialize, JsonSchema)]
struct Nothing {}

/// What a tool that was not stopped says.
#[derive(Serialize, JsonSchema)]
struct Survived {
    /// How far it came.
    #[schemars(range(max = 1000000))]
    count: u64,
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
                    run().map(|count| Survived { count })
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
    Panic "panic" "Panics." => || panic!("secret of the plugin");
    Lie "lie" "Breaks its own output schema." => || Ok(2_000_000);
    FloodLog "flood_log" "Writes many lines, with control characters." => || {
        for n in 0..100 { log::info!("line {n}\n\u{1b}[31mforged=true"); }
        Ok(100)
    };
    ManyHostCalls "many_host_calls" "Calls the host more often than it may." => || {
        (0..1000).map(|_| cache::delete("k").map(|()| 1)).sum()
    };
    SlowQuery "slow_query" "Runs a query that takes longer than the call may." => || {
        sql::query("SELECT count(*) AS n FROM generate_series(1, 100000000000) AS s(i)", ())?;
        Ok(0)
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
    KeepForNext "keep_for_next" "Counts its calls, in a static and in the cache." => || {
        use std::sync::atomic::{AtomicU64, Ordering};
        static CALLS: AtomicU64 = AtomicU64::new(0);
        assert_eq!(CALLS.fetch_add(1, Ordering::Relaxed), 0, "an instance served two calls");
        let before = cache::get::<u64>("calls")?.unwrap_or(0);
        cache::set("calls", &(before + 1), 60)?;
        Ok(before)
    };
}
