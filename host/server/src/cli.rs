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

/// A running host, and who asks it.
#[derive(Args)]
pub(crate) struct HostArg {
    #[command(flatten)]
    pub(crate) config: ConfigArg,
    /// A file with the operators' token. Default: what STOCKADE_ADMIN_TOKEN says.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct EmbedArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArg,
    /// The name of a collection.
    #[arg(long, value_name = "NAME")]
    pub(crate) collection: String,
    /// The `postgres://` URL of an administrator whom row security does not bind, or `-` to read it from
    /// standard input, where no list of processes shows it.
    #[arg(long, value_name = "URL")]
    pub(crate) admin_url: String,
    /// Rows of one transaction.
    #[arg(long, value_name = "ROWS", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) batch_rows: u32,
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
    /// Print how a running host is, as JSON; fails where it cannot serve.
    Health(HostArg),
    /// Have a running host read its configuration again, all of it or nothing.
    Reload(HostArg),
    /// Print how long a running host's statements take, by tool, tenant and statement.
    Stats {
        #[command(flatten)]
        host: HostArg,
        /// Print JSON, for scripts.
        #[arg(long)]
        json: bool,
        /// Print again every so many seconds, until it is stopped.
        #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = clap::value_parser!(u64).range(1..=3600))]
        watch: Option<u64>,
        /// Rows of each table.
        #[arg(long, default_value_t = 15)]
        rows: usize,
    },
    /// Embed the rows of a collection that have no embedding, or another model's. May be broken off and
    /// run again: it goes on where it was.
    Embed(EmbedArgs),
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
