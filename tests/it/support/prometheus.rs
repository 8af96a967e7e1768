//! A real Prometheus that scrapes our own program, and promtool.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use url::Url;

use super::child::Child;
use super::port::free_port;
use super::program::fetch;
use super::wait::{START, within};

/// A server with the alerts of this repository; dropped, it is gone with all it held.
pub(crate) struct Prometheus {
    child: Child,
    port: u16,
    _dir: TempDir,
}

/// The alerts, as Prometheus is given them.
pub(crate) const ALERTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/helm/indelible/files/alerts.yaml");

impl Prometheus {
    /// Scrapes `target`, an address and port, twice a second as the job `indelible`.
    pub(crate) fn scraping(target: &str) -> Self {
        let config = format!(
            "global: {{scrape_interval: 500ms, evaluation_interval: 1s}}\nrule_files: ['{ALERTS}']\n\
             scrape_configs:\n  - {{job_name: indelible, static_configs: [{{targets: ['{target}']}}]}}\n"
        );
        // A port can be taken between its choice and its use.
        for _ in 0..3 {
            match Self::launch(&config) {
                Ok(prometheus) => return prometheus,
                Err(output) => eprintln!("prometheus did not start:\n{output}"),
            }
        }
        panic!("prometheus has not started; what it printed stands above");
    }

    fn launch(config: &str) -> Result<Self, String> {
        let dir = tempfile::Builder::new().prefix("indelible-prometheus-").tempdir().expect("a temporary folder");
        let file = dir.path().join("prometheus.yml");
        std::fs::write(&file, config).expect("the folder can be written");
        let port = free_port();
        let child = Child::spawn("prometheus", dir.path(), &mut command(&file, port, dir.path()));
        let mut prometheus = Self { child, port, _dir: dir };
        let ready = within(START, || {
            if prometheus.child.exited().is_some() {
                return Some(false);
            }
            fetch(&prometheus.url("/-/ready"), &[]).is_ok_and(|answer| answer.status == 200).then_some(true)
        });
        if ready == Some(true) { Ok(prometheus) } else { Err(prometheus.child.output()) }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn ask(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let url = Url::parse_with_params(&self.url(path), query).expect("a URL");
        let answer = fetch(url.as_str(), &[]).unwrap_or_else(|error| panic!("{url}: {error}\n{}", self.child.output()));
        let answer = answer.json();
        assert_eq!(answer["status"], "success", "{query:?}: {answer}");
        answer["data"].clone()
    }

    /// What an expression is now, by its series' labels.
    #[track_caller]
    pub(crate) fn query(&self, expression: &str) -> Vec<(Value, f64)> {
        let data = self.ask("/api/v1/query", &[("query", expression)]);
        let series = data["result"].as_array().expect("series").clone();
        let value = |series: &Value| series["value"][1].as_str().and_then(|value| value.parse().ok());
        series.iter().map(|series| (series["metric"].clone(), value(series).expect("a number"))).collect()
    }

    /// The one value of an expression that has no labels; none while there is none.
    #[track_caller]
    pub(crate) fn value(&self, expression: &str) -> Option<f64> {
        let series = self.query(expression);
        assert!(series.len() < 2, "{expression}: {series:?}");
        series.first().map(|(_, value)| *value)
    }

    /// Name and expression of every alert that it has loaded.
    pub(crate) fn alerts(&self) -> Vec<(String, String)> {
        let data = self.ask("/api/v1/rules", &[("type", "alert")]);
        let groups = data["groups"].as_array().expect("groups");
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().expect("rules"));
        let text = |rule: &Value, field: &str| rule[field].as_str().expect("a text").to_owned();
        rules.map(|rule| (text(rule, "name"), text(rule, "query"))).collect()
    }
}

fn command(config: &Path, port: u16, dir: &Path) -> Command {
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", dir.join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--log.level=warn");
    command
}

/// `promtool` with this on its standard input.
pub(crate) fn promtool(args: &[&str], stdin: &str) -> Output {
    let mut process = Command::new("promtool")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is there; run `make setup`");
    process.stdin.take().expect("stdin is a pipe").write_all(stdin.as_bytes()).expect("promtool reads all");
    process.wait_with_output().expect("a child can be waited for")
}
