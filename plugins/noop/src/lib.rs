//! A tool that does nothing. `cargo xtask bench` measures with it what a call through the sandbox costs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use stockade_sdk::{Error, Tool};

/// No arguments, no result.
#[derive(Deserialize, JsonSchema, Serialize)]
struct Nothing {}

struct Noop;

impl Tool for Noop {
    const NAME: &'static str = "noop";
    const TITLE: &'static str = "Do nothing";
    const DESCRIPTION: &'static str = "Does nothing and gives an empty object. For measuring what a call costs.";
    type Input = Nothing;
    type Output = Nothing;

    fn call(_input: Nothing) -> Result<Nothing, Error> {
        Ok(Nothing {})
    }
}

stockade_sdk::plugin!(Noop);
