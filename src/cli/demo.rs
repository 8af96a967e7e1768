//! x
pub async fn run(_once: bool, _shutdown: tokio_util::sync::CancellationToken) -> anyhow::Result<()> {
    Ok(())
}
