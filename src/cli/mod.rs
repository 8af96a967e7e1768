//! The command line: every setting in `settings.rs`, one command a file.

pub mod config;
pub mod demo;
pub mod dlq;
pub mod emit;
pub mod healthcheck;
pub mod inspect;
pub mod key;
pub mod offsets;
pub mod policy;
pub mod price;
pub mod quota;
pub mod settings;
mod table;

use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::app::{self, Role};
use crate::ingest::schemas;
use crate::ops::{clock, shutdown, telemetry};

use offsets::OffsetsCommand;
use settings::{Config, Settings};

/// Settings that can't be used (`EX_USAGE` of sysexits.h).
const EXIT_USAGE: u8 = 64;
/// Done, but some of the dead letters that were asked for can't be counted now either.
const EXIT_SOME_LEFT: u8 = 2;
/// What commands that speak to a person log: not the records that the demo's story has rejected, nor what its broker
/// does not know, nor that its API asks nobody for credentials.
const QUIET: &str =
    "warn,librdkafka=error,indelible::app=error,indelible::ingest::job=error,indelible::ingest::topics=error";

/// Usage metering for AI services: Kafka events into Redis counters, exactly once.
///
/// Every setting is a flag and an environment variable; `indelible config show` lists them all.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Count events (worker) and serve the stats (API) until SIGTERM.
    Serve {
        /// What this process does.
        #[arg(long, env = "INDELIBLE_ROLE", value_enum, default_value = "all")]
        role: Role,
        /// Take the namespace over from the consumer group that counts into it now, once at the start.
        #[arg(long, env = "INDELIBLE_TAKEOVER")]
        takeover: bool,
        /// Where this process ends itself: point:pass
        #[cfg(feature = "crash-points")]
        #[arg(long, env = "INDELIBLE_CRASH", hide = true)]
        crash: Option<crate::ops::crash::Plan>,
    },
    /// Show the whole thing on this machine: a Kafka in this process, a private redis-server, a short story.
    Demo {
        /// End after the story; exit 0 only if every number was as it must be.
        #[arg(long)]
        once: bool,
    },
    /// Produce events from a file of one JSON event a line, and wait until Kafka has them all.
    Emit {
        /// The file, or - for standard input.
        file: String,
        /// Also produce lines that are not valid events; they end in the dead-letter topic.
        #[arg(long)]
        lenient: bool,
    },
    /// Explain what one usage event costs: the price used, the arithmetic, the rounding.
    Price {
        /// The file of one JSON event, or - for standard input.
        event: String,
        /// As JSON, with exact decimals as text.
        #[arg(long)]
        json: bool,
    },
    /// Look at dead letters, and replay those that can be counted now.
    Dlq {
        #[command(subcommand)]
        what: dlq::Dlq,
    },
    /// Show where counting stands, and decide what happens when state or records were lost.
    Offsets {
        #[command(subcommand)]
        what: OffsetsCommand,
    },
    /// Give a user or tenant a quota, or show it.
    Quota {
        #[command(subcommand)]
        what: quota::Quota,
    },
    /// Explain a key in Redis, or list those of a tenant or user; changes nothing.
    Inspect(inspect::Inspect),
    /// Make API keys.
    Key {
        #[command(subcommand)]
        what: key::Key,
    },
    /// Print the JSON Schema of an event type, or list the types.
    Schema {
        /// For example ai.usage.recorded.v1
        r#type: Option<String>,
    },
    /// Check the settings, show them with their variables and flags (secrets masked), or list all there are.
    Config {
        #[arg(value_enum)]
        what: ConfigWhat,
    },
    /// Ask the process at INDELIBLE_OPS_LISTEN whether it is ready; exit 1 if it is not.
    Healthcheck,
    /// Print the completions of a shell.
    Completions { shell: clap_complete::Shell },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ConfigWhat {
    Check,
    Show,
    /// All of them, with their defaults, as a table in Markdown.
    Markdown,
}

/// Reads the command line and does what it says.
pub fn run() -> ExitCode {
    let parsed = Cli::command().try_get_matches().and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            // Writing to a closed terminal can't be reported to it.
            let _ = error.print();
            return if error.use_stderr() { EXIT_USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    match cli.command {
        Command::Schema { r#type } => print_schema(r#type.as_deref()),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "indelible", &mut std::io::stdout());
            ExitCode::SUCCESS
        }
        Command::Key { what } => said(key::run(&what, clock::now())),
        Command::Config { what: ConfigWhat::Show } => config::show(&Cli::command(), &matches),
        Command::Config { what: ConfigWhat::Markdown } => {
            print!("{}", config::markdown(&Cli::command()));
            ExitCode::SUCCESS
        }
        // It asks a process that has its settings already: files that have changed since are none of its business.
        Command::Healthcheck => match cli.settings.ops_listen() {
            Ok(ops_listen) => said(healthcheck::run(ops_listen)),
            Err(faults) => config::report(&faults),
        },
        command => match cli.settings.check() {
            Ok(mut config) => {
                config.given = config::given(&Cli::command(), &matches);
                let logs_said =
                    matches.value_source("log_filter").is_some_and(|from| from != ValueSource::DefaultValue);
                let for_a_person = matches!(
                    command,
                    Command::Demo { .. } | Command::Offsets { .. } | Command::Quota { .. } | Command::Inspect(_)
                );
                if for_a_person && !logs_said {
                    config.log_filter = QUIET.to_owned();
                }
                run_with(command, config)
            }
            Err(faults) => config::report(&faults),
        },
    }
}

fn run_with(command: Command, config: Config) -> ExitCode {
    #[cfg(feature = "crash-points")]
    if let Command::Serve { crash: Some(plan), .. } = &command {
        crate::ops::crash::arm(plan.clone());
    }
    let ended = match command {
        Command::Config { .. } => {
            println!("the settings are fine");
            return ExitCode::SUCCESS;
        }
        Command::Serve { role, takeover, .. } => {
            let config = Config { takeover, ..config };
            if let Some(fault) = config.access.refusal(config.listen).filter(|_| role != Role::Worker) {
                return config::report(&[fault]);
            }
            in_runtime(&config, async |shutdown| app::serve(&config, role, shutdown).await)
        }
        Command::Offsets { what } => in_runtime(&config, async |shutdown| {
            let ended = shutdown.run_until_cancelled(offsets::run(&config, &what)).await;
            ended.unwrap_or_else(|| Err(anyhow::anyhow!("interrupted; running it again does the rest")))
        }),
        Command::Quota { what } => {
            return answered(in_runtime(&config, async |shutdown| {
                let ended = shutdown.run_until_cancelled(quota::run(&config, &what)).await;
                ended.unwrap_or_else(|| Err(anyhow::anyhow!("interrupted; `indelible quota show` says what holds")))
            }));
        }
        Command::Inspect(asked) => {
            return answered(in_runtime(&config, async |shutdown| {
                let ended = shutdown.run_until_cancelled(inspect::run(&config, &asked)).await;
                ended.unwrap_or_else(|| Err(anyhow::anyhow!("interrupted")))
            }));
        }
        Command::Demo { once } => in_runtime(&config, async |shutdown| demo::run(&config, once, shutdown).await),
        // Brokers that can't be reached show while they are waited for.
        Command::Emit { file, lenient } => {
            telemetry::init(config.log_format, "warn").and_then(|()| emit::run(&config, &file, lenient))
        }
        Command::Dlq { what } => {
            match telemetry::init(config.log_format, "warn").and_then(|()| dlq::run(&config, &what)) {
                Ok(dlq::Ended::SomeLeft) => return EXIT_SOME_LEFT.into(),
                ended => ended.map(drop),
            }
        }
        Command::Price { event, json } => match price::run(&config.prices.load(), &event, json) {
            Ok(()) => Ok(()),
            Err(price::Refusal::NoEvent(why)) => {
                eprintln!("indelible: {event}: {why}");
                return EXIT_USAGE.into();
            }
            Err(price::Refusal::Failed(error)) => Err(error),
        },
        Command::Healthcheck | Command::Key { .. } | Command::Schema { .. } | Command::Completions { .. } => Ok(()),
    };
    said(ended)
}

/// How a command that is asked for something ends, but for errors on the way.
#[derive(Debug)]
pub enum Ended {
    Done,
    /// Nothing was done: what was asked for can't be used, and why.
    Unusable(String),
}

fn answered(ended: anyhow::Result<Ended>) -> ExitCode {
    match ended {
        Ok(Ended::Unusable(why)) => {
            eprintln!("indelible: {why}");
            EXIT_USAGE.into()
        }
        ended => said(ended.map(drop)),
    }
}

/// The exit code of an end; an error is said.
fn said(ended: anyhow::Result<()>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("indelible: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn in_runtime<T>(
    config: &Config,
    task: impl AsyncFnOnce(tokio_util::sync::CancellationToken) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    telemetry::init(config.log_format, &config.log_filter)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(async { task(shutdown::on_signal()?).await });
    // A question to Kafka that hangs must not keep the process.
    runtime.shutdown_background();
    ended
}

fn print_schema(name: Option<&str>) -> ExitCode {
    match name.map(schemas::get) {
        None => schemas::all().for_each(|(name, _)| println!("{name}")),
        Some(Some(schema)) => println!("{}", schema.trim_end()),
        Some(None) => {
            let names: Vec<_> = schemas::all().map(|(name, _)| name).collect();
            eprintln!("indelible: there is no schema of that name; the names are {}", names.join(", "));
            return EXIT_USAGE.into();
        }
    }
    ExitCode::SUCCESS
}
