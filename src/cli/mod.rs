//! The command line: one file a command.

mod audit;
mod backup;
mod bench;
mod calibrate;
mod check;
mod demo;
mod door;
mod enroll;
mod files;
mod gallery;
mod jobs;
mod models;
mod recognize;
mod restore;
mod rewrite;
mod salvage;
mod scratch;
mod serve;
mod tls;
mod user;

use std::{
    fmt::Display,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use self::door::KeyFile;
use clap::{Args, Parser, Subcommand};

use crate::{
    config::Settings,
    domain::TenantId,
    error::{Error, Result},
    service::access::first_start::{DEFAULT_TENANT, operator_key_path, tenant_key_path},
    telemetry::logging,
};

/// Self-hosted attendance: one classroom photo in, the whole class out.
#[derive(Debug, Parser)]
#[command(name = "rollcall", version, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
struct Common {
    /// A settings file; config/default.toml lists every key.
    #[arg(long, global = true, env = "ROLLCALL_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data folder [default: data].
    #[arg(long, global = true, env = "ROLLCALL_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Common {
    fn settings(&self) -> Result<Settings> {
        self.settings_with(Vec::new())
    }

    fn settings_with(&self, mut flags: Vec<(&'static str, String)>) -> Result<Settings> {
        if let Some(data) = &self.data {
            flags.push(("server.data", data.to_string_lossy().into_owned()));
        }
        Settings::load(self.config.as_deref(), &flags)
    }
}

/// Whose data a command works on.
#[derive(Debug, Clone, Args)]
struct TenantArgs {
    /// The tenant.
    #[arg(long, default_value = DEFAULT_TENANT)]
    tenant: TenantId,
    /// The tenant's key for a running server [default: the content of DATA/TENANT.key].
    #[arg(long, env = "ROLLCALL_KEY", hide_env_values = true)]
    key: Option<String>,
}

impl TenantArgs {
    fn key_file(&self, data: &Path) -> KeyFile<'_> {
        KeyFile { given: self.key.as_deref(), path: tenant_key_path(data, &self.tenant) }
    }
}

/// Who works on the whole server.
#[derive(Debug, Clone, Args)]
struct OperatorArgs {
    /// The operator's key for a running server [default: the content of DATA/operator.key].
    #[arg(long, env = "ROLLCALL_OPERATOR_KEY", hide_env_values = true)]
    key: Option<String>,
}

impl OperatorArgs {
    fn key_file(&self, data: &Path) -> KeyFile<'_> {
        KeyFile { given: self.key.as_deref(), path: operator_key_path(data) }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows the whole way on portraits that come with the program.
    Demo(demo::DemoArgs),
    /// Runs the server.
    Serve(serve::ServeArgs),
    /// Makes certificates for a server that has no public name, so that phones give it their camera.
    Tls(tls::TlsArgs),
    /// Enrols people from a folder with one subfolder a person, or from a roster.
    Enroll(enroll::EnrollArgs),
    /// Recognises a group in photos.
    Recognize(recognize::RecognizeArgs),
    /// Copies everything that is stored into a file, while the server serves.
    Backup(backup::BackupArgs),
    /// Makes a new data folder from a backup.
    Restore(restore::RestoreArgs),
    /// Writes the store afresh, so that what was erased leaves the disk.
    Rewrite(rewrite::RewriteArgs),
    /// Reads everything that is stored and says what is wrong.
    Check(check::CheckArgs),
    /// Makes a new data folder of what can be read of one that does not open.
    Salvage(salvage::SalvageArgs),
    /// Looks after the log of changes.
    Audit(audit::AuditArgs),
    /// Makes and lists those who log in.
    User(user::UserArgs),
    /// Looks after what signs their tokens.
    Keys(user::KeysArgs),
    /// Measures accuracy and speed; prints one JSON object a line.
    Bench(bench::BenchArgs),
    /// Looks after what searches go by.
    Gallery(gallery::GalleryArgs),
    /// Says what the enrolled samples tell about thresholds.
    Calibrate(calibrate::CalibrateArgs),
    /// Imports and verifies network weights.
    Models(models::ModelsArgs),
}

impl Cli {
    /// Runs the command. Errors go to standard error as one line.
    pub fn run(self) -> ExitCode {
        let done = self.carry_out();
        logging::flush();
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                // Where nobody can be told, the status still says it.
                drop(writeln!(io::stderr(), "rollcall: {error}"));
                ExitCode::FAILURE
            }
        }
    }

    fn carry_out(self) -> Result<()> {
        let Self { common, command } = self;
        match command {
            Command::Demo(args) => demo::run(&args),
            Command::Serve(args) => serve::run(&common, &args),
            Command::Tls(args) => tls::run(&common, &args),
            Command::Enroll(args) => enroll::run(&common, &args),
            Command::Recognize(args) => recognize::run(&common, &args),
            Command::Backup(args) => backup::run(&common, &args),
            Command::Restore(args) => restore::run(&common, &args),
            Command::Rewrite(args) => rewrite::run(&common, &args),
            Command::Check(args) => check::run(&common, &args),
            Command::Salvage(args) => salvage::run(&args),
            Command::Audit(args) => audit::run(&common, &args),
            Command::User(args) => user::run(&common, &args),
            Command::Keys(args) => user::run_keys(&common, &args),
            Command::Bench(args) => bench::run(&common, &args),
            Command::Gallery(args) => gallery::run(&common, &args),
            Command::Calibrate(args) => calibrate::run(&common, &args),
            Command::Models(args) => models::run(&args),
        }
    }
}

/// Writes a line to standard output.
///
/// # Errors
/// `Internal` if nobody reads it any more.
fn say(line: impl Display) -> Result<()> {
    writeln!(io::stdout(), "{line}")
        .map_err(|error| Error::internal("standard output cannot be written").with_source(error))
}
