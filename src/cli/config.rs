//! `indelible config`: what the settings are, and what is wrong with them.

use std::process::ExitCode;

use clap::{ArgMatches, Command};

use super::settings::split_escaped;

/// Says every fault of the settings; the exit code for them.
pub fn report(faults: &[String]) -> ExitCode {
    eprintln!("indelible: {} of the settings can't be used:", faults.len());
    faults.iter().for_each(|fault| eprintln!("  {fault}"));
    super::EXIT_USAGE.into()
}

/// Prints every setting with its value, secrets masked.
pub fn show(command: &Command, matches: &ArgMatches) -> ExitCode {
    for argument in command.get_arguments() {
        let (Some(variable), Some(flag)) = (argument.get_env().and_then(|env| env.to_str()), argument.get_long())
        else {
            continue;
        };
        let value = matches.get_one::<String>(argument.get_id().as_str()).map_or("", String::as_str);
        println!("{variable:<31} --{flag:<21} {}", masked(flag, value));
    }
    ExitCode::SUCCESS
}

fn masked(flag: &str, value: &str) -> String {
    match flag {
        "redis-url" => mask_password(value),
        "notice-webhook-secret" if !value.is_empty() => "***".to_owned(),
        // Some receivers have their token in the query.
        "notice-webhook" => mask_password(value.split_once('?').map_or(value, |(url, _)| url)),
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
