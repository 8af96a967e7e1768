//! Where and with what was measured.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

/// Machine, versions and commit, for the report.
pub(crate) fn describe(small: bool) -> Value {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
    let changed = !said_by("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty();
    json!({
        "machine": {
            "cores": cores,
            "model": field("/proc/cpuinfo", "model name"),
            "kernel": read("/proc/sys/kernel/osrelease"),
            "memoryKiB": field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse::<u64>().ok(),
            "loadBefore": read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" "),
        },
        "versions": {
            "commit": said_by("git", &["rev-parse", "--short=12", "HEAD"]),
            "changed": changed,
            "rustc": said_by("rustc", &["--version"]).trim_start_matches("rustc "),
            "redis": said_by("redis-server", &["--version"]).split(' ').find_map(|word| word.strip_prefix("v=")),
            "kafka": crate::support::kafka::VERSION,
            // On its second output, in quotes.
            "java": said_by("java", &["-version"]).split('"').nth(1),
            "librdkafka": librdkafka,
        },
        "time": chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        "small": small,
    })
}

/// The same in a few lines.
pub(crate) fn print(head: &Value) {
    for part in ["machine", "versions"] {
        let facts = head[part].as_object().expect("an object of our own");
        let facts = facts.iter().map(|(name, fact)| match fact {
            Value::String(text) => format!("{name} {text}"),
            other => format!("{name} {other}"),
        });
        println!("{part}: {}", facts.collect::<Vec<_>>().join(", "));
    }
    println!();
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// What stands after a name and a colon; empty where the system does not say.
fn field(path: &str, name: &str) -> String {
    let text = read(path);
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':').map(|(_, value)| value.trim()));
    value.unwrap_or_default().to_owned()
}

/// What a program prints, on whichever output; empty where it is not there.
fn said_by(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let both = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
    String::from_utf8_lossy(&both).trim().to_owned()
}
