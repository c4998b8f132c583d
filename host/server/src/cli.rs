use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Serves sandboxed tools over one PostgreSQL to agents that speak the Model Context Protocol.
#[derive(Parser)]
#[command(name = "stockade", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Args)]
pub(crate) struct ConfigArg {
    /// The configuration file. Default: what STOCKADE_CONFIG says.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve over HTTP.
    Serve(ConfigArg),
    /// Serve one client on standard input and output, as the caller that the configuration names.
    Stdio(ConfigArg),
    /// Prepare the database: roles, the schema `stockade`, the signing key. May be run again.
    Migrate {
        #[command(flatten)]
        config: ConfigArg,
        /// An administrator's `postgres://` URL, or `-` to read it from standard input, where no list
        /// of processes shows it.
        #[arg(long, value_name = "URL")]
        admin_url: String,
    },
    /// Pack or inspect a plugin.
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Make a bearer token.
    #[command(subcommand)]
    Token(TokenCommand),
}

#[derive(Subcommand)]
pub(crate) enum PluginCommand {
    /// Put the manifest and the tools' schemas into a component.
    Pack {
        /// What the tool chain built.
        component: PathBuf,
        /// The plugin's `plugin.toml`.
        #[arg(long, value_name = "FILE")]
        manifest: PathBuf,
        /// Where the packed plugin goes.
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
    },
    /// Print a packed plugin's manifest, as JSON.
    Inspect {
        /// A packed plugin.
        plugin: PathBuf,
    },
}

#[derive(Subcommand)]
pub(crate) enum TokenCommand {
    /// Print a new token, and the line for the configuration.
    New,
}
