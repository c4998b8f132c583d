//! The trait of a tool, and how a call and a description reach it.

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

use crate::bindings::exports::stockade::plugin::{describe, tools};
use crate::{Error, schema};

/// A tool: what an agent reads of it, what it takes, what it gives.
///
/// The description decides whether an agent uses the tool well. Say what it does, when to use it and
/// when not, and its limits. Doc comments on the fields of `Input` and `Output` become descriptions in
/// the schemas; `#[schemars(length(…), range(…))]` become constraints that the host checks before the
/// plugin is started.
pub trait Tool {
    /// 1 to 64 of `a-z`, `0-9`, `_`, the first a letter. Unique among all plugins of a host.
    const NAME: &'static str;
    /// A short name for people.
    const TITLE: &'static str;
    /// What the tool does, when to use it, and its limits.
    const DESCRIPTION: &'static str;
    /// The arguments: a struct with named fields, `{}` where there are none.
    type Input: DeserializeOwned + JsonSchema;
    /// The structured result: a struct with named fields. Every number in it must be finite.
    type Output: Serialize + JsonSchema;

    /// Serve one call. Failures of the host's functions pass through with `?`.
    fn call(input: Self::Input) -> Result<Self::Output, Error>;

    /// The result for people. Without it the caller gets the JSON as text.
    fn text(_output: &Self::Output) -> Option<String> {
        None
    }
}

/// Read the arguments, call the tool, write its result.
pub fn run<T: Tool>(arguments: &str) -> Result<tools::Output, Error> {
    let input = serde_json::from_str(arguments).map_err(|error| {
        // The host has checked the schema. What comes here is a rule that only the type knows.
        Error::validation("ARGUMENTS_INVALID", format!("the arguments do not fit: {error}"))
    })?;
    let output = T::call(input)?;
    let text = T::text(&output);
    let structured =
        serde_json::to_string(&output).map_err(|error| Error::unexpected("OUTPUT_NOT_JSON", error.to_string()))?;
    Ok(tools::Output { structured, text })
}

/// What the manifest says about the tool.
pub fn describe<T: Tool>() -> describe::Tool {
    describe::Tool {
        name: T::NAME.to_owned(),
        title: T::TITLE.to_owned(),
        description: T::DESCRIPTION.to_owned(),
        input_schema: schema::of_input::<T::Input>(),
        output_schema: schema::of_output::<T::Output>(),
    }
}

/// Whether the contract takes `name` for a tool: checked when the plugin is compiled.
pub const fn is_tool_name(name: &str) -> bool {
    let mut rest = name.as_bytes();
    if rest.len() > 64 || !matches!(rest, [b'a'..=b'z', ..]) {
        return false;
    }
    while let [byte, tail @ ..] = rest {
        if !matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_') {
            return false;
        }
        rest = tail;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::is_tool_name;

    #[test]
    fn tool_names() {
        let long = "a".repeat(64);
        for good in ["a", "top_products", "x9", long.as_str()] {
            assert!(is_tool_name(good), "{good}");
        }
        let too_long = "a".repeat(65);
        for bad in ["", "_a", "9a", "Top", "a-b", "a b", "ä", too_long.as_str()] {
            assert!(!is_tool_name(bad), "{bad}");
        }
    }
}
