//! `indelible config`: what the settings are, and what is wrong with them.

use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use super::settings::split_escaped;

/// Says every fault of the settings; the exit code for them.
pub fn report(faults: &[String]) -> ExitCode {
    eprintln!("indelible: {} of the settings can't be used:", faults.len());
    faults.iter().for_each(|fault| eprintln!("  {fault}"));
    super::EXIT_USAGE.into()
}

/// Prints every setting with its value, secrets masked.
pub fn show(command: &Command, matches: &ArgMatches) -> ExitCode {
    for Setting { variable, flag, argument } in settings(command) {
        println!("{variable:<31} --{flag:<21} {}", value(argument, flag, matches));
    }
    ExitCode::SUCCESS
}

/// The settings that are not what they are by default, secrets masked: for the log.
pub fn given(command: &Command, matches: &ArgMatches) -> Vec<String> {
    let is_given = |id: &str| matches.value_source(id).is_some_and(|from| from != ValueSource::DefaultValue);
    let given = settings(command).filter(|setting| is_given(setting.argument.get_id().as_str()));
    given.map(|Setting { variable, flag, argument }| format!("{variable}={}", value(argument, flag, matches))).collect()
}

/// Every setting in a table of Markdown: what docs/configure.md holds.
pub fn markdown(command: &Command) -> String {
    let mut table = "| variable | flag | default | |\n|---|---|---|---|\n".to_owned();
    let serve = command.find_subcommand("serve");
    for Setting { variable, flag, argument } in settings(command).chain(serve.into_iter().flat_map(settings)) {
        let default: Vec<_> = argument.get_default_values().iter().filter_map(|value| value.to_str()).collect();
        let default = if argument.get_action().takes_values() { default.join(",") } else { "false".to_owned() };
        let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let help = help.replace('\n', " ").replace('|', "\\|").replace('<', "&lt;");
        table += &format!("| `{variable}` | `--{flag}` | {default} | {help} |\n");
    }
    table
}

struct Setting<'a> {
    variable: &'a str,
    flag: &'a str,
    argument: &'a Arg,
}

fn settings(command: &Command) -> impl Iterator<Item = Setting<'_>> {
    command.get_arguments().filter(|argument| !argument.is_hide_set()).filter_map(|argument| {
        Some(Setting { variable: argument.get_env()?.to_str()?, flag: argument.get_long()?, argument })
    })
}

fn value(argument: &Arg, flag: &str, matches: &ArgMatches) -> String {
    masked(flag, matches.get_one::<String>(argument.get_id().as_str()).map_or("", String::as_str))
}

fn masked(flag: &str, value: &str) -> String {
    match flag {
        "redis-url" => mask_password(value),
        "notice-webhook-secret" if !value.is_empty() => "***".to_owned(),
        // Some receivers have their token in the query.
        "notice-webhook" | "jwt-jwks" => mask_password(value.split_once('?').map_or(value, |(url, _)| url)),
        "kafka-properties" => {
            let parts = split_escaped(value).into_iter().map(|part| match part.split_once('=') {
                Some((key, _)) if is_secret(key) => format!("{key}=***"),
                _ => part,
            });
            parts.collect::<Vec<_>>().join(",")
        }
        _ => value.to_owned(),
    }
}

fn is_secret(property: &str) -> bool {
    ["password", "secret", "pem", "key", "oauth", "jaas", "token"].iter().any(|word| property.contains(word))
}

/// `scheme://user:password@host` with *** for the password.
fn mask_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    match rest.rsplit_once('@') {
        Some((credentials, host)) => {
            let user = credentials.split_once(':').map_or("***", |(user, _)| user);
            format!("{scheme}://{user}:***@{host}")
        }
        None => url.to_owned(),
    }
}
