//! A private redis-server that does not outlive the demo, however that ends: even by SIGKILL.

use std::fs::{self, DirBuilder, File};
use std::os::unix::{fs::DirBuilderExt, process::CommandExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::ops::clock;
use crate::store::{Reader, StoreError, link::Target};

const START: Duration = Duration::from_secs(10);
const INSTALL: &str = "redis-server can't be run: install it (apt-get install redis-server, brew install redis)";
/// Waits until its standard input ends, as it does with the demo, and leaves nothing behind.
const KEEPER: &str = r#"trap "" HUP INT TERM; dir=$1; shift; "$@" & read -r _; kill -9 $!; wait; rm -rf "$dir""#;

pub(super) struct PrivateRedis {
    keeper: Child,
    dir: PathBuf,
}

impl PrivateRedis {
    pub(super) fn start() -> anyhow::Result<Self> {
        Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().context(INSTALL)?;
        let dir = std::env::temp_dir().join(format!("indelible-demo-{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&dir).with_context(|| format!("can't make {}", dir.display()))?;
        let log = File::create(dir.join("redis.log"))?;
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "indelible-demo"]).arg(&dir);
        keeper.args(["redis-server", "--port", "0", "--unixsocket"]).arg(dir.join("redis.sock")).arg("--dir").arg(&dir);
        keeper.args(["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"]);
        // In a group of its own: Ctrl-C is for the demo, which drains into its Redis first.
        keeper.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log).process_group(0);
        Ok(Self { keeper: keeper.spawn().context("sh can't be run")?, dir })
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.dir.join("redis.sock")
    }

    pub(super) fn target(&self) -> anyhow::Result<Target> {
        Target::parse(&format!("unix://{}", self.socket().display())).map_err(anyhow::Error::msg)
    }

    pub(super) async fn answers(&self, reader: &dyn Reader) -> anyhow::Result<()> {
        let deadline = clock::instant() + START;
        loop {
            let error = match reader.ping().await {
                // It is empty as yet.
                Ok(()) | Err(StoreError::NotCounting { .. }) => return Ok(()),
                Err(error) => error,
            };
            let log = || fs::read_to_string(self.dir.join("redis.log")).unwrap_or_default();
            ensure!(clock::instant() < deadline, "{error}; redis-server says:\n{}", log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for PrivateRedis {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // Fails only if somebody else has waited for it, and then it is gone.
        let _ = self.keeper.wait();
    }
}
