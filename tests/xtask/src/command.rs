//! Running other programs, with errors that say what was run and what to do.

use std::ffi::OsStr;
use std::io;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Runs `command` with its output on our standard error, so that standard output stays for results.
///
/// # Errors
/// Where the program is missing or ends with another status than zero; the text shows the command line.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    command.stdin(Stdio::null()).stdout(Stdio::from(io::stderr()));
    let status = command.status().with_context(|| format!("cannot run `{}`", line(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", line(command));
    }
    Ok(())
}

/// Runs `command` and returns what it printed; its messages are shown only when it fails.
///
/// # Errors
/// As [`run`], and where the output is not UTF-8.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    // What a program reads has no colours in it, whatever a CI asks for.
    command.env("CARGO_TERM_COLOR", "never");
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run `{}`", line(command)))?;
    if !output.status.success() {
        let messages = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` ended with {}\n{}", line(command), output.status, messages.trim_end());
    }
    String::from_utf8(output.stdout).with_context(|| format!("the output of `{}` is not UTF-8", line(command)))
}

/// The command as it would be typed.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

/// A word for a shell: as it is where it is plain, else in single quotes.
pub(crate) fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The cargo that runs us, else the one on the PATH.
///
/// `cargo run` tells a program about its own package in variables. Build scripts that watch such variables
/// (ring's does) would run again, and all above them, whenever our cargo and the user's take turns.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(about_a_package) {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Whether a variable speaks of the package that `cargo run` runs.
fn about_a_package(name: &str) -> bool {
    let begins = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
    begins.iter().any(|begin| name.starts_with(begin)) || name == "OUT_DIR"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_show_the_command_and_its_messages() {
        let error = output(Command::new("sh").args(["-c", "echo no such table >&2; exit 3"])).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("`sh -c 'echo no such table >&2; exit 3'` ended with exit status: 3"), "{text}");
        assert!(text.ends_with("no such table"), "{text}");
        let missing = run(&mut Command::new("no-such-program-here")).unwrap_err();
        assert_eq!(missing.to_string(), "cannot run `no-such-program-here`");
    }

    #[test]
    fn what_cargo_run_says_of_a_package_goes_and_what_the_user_says_stays() {
        for name in ["CARGO_PKG_NAME", "CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "OUT_DIR"] {
            assert!(about_a_package(name), "{name}");
        }
        for name in ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_INCREMENTAL", "CARGO_TERM_COLOR", "PATH"] {
            assert!(!about_a_package(name), "{name}");
        }
        // The test runner sets the first of these for us.
        let removed: Vec<_> =
            cargo().get_envs().filter(|(_, value)| value.is_none()).map(|(name, _)| name.to_owned()).collect();
        assert!(removed.iter().any(|name| name == "CARGO_MANIFEST_DIR"), "{removed:?}");
    }

    #[test]
    fn quoting_survives_a_shell() {
        for word in ["plain", "two words", "it's", "$HOME", "", "a\"b"] {
            let echoed = output(Command::new("sh").arg("-c").arg(format!("printf %s {}", quoted(word.as_ref()))));
            assert_eq!(echoed.unwrap(), word);
        }
    }
}
