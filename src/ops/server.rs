//! Serves HTTP/1.1 within bounds: connections at a time, the size of a request's head, how long one may take to come.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// After a connection could not be accepted, as when no file descriptor is left.
const REST: Duration = Duration::from_millis(100);
/// Headers of one request; more gets 431.
const MAX_HEADERS: usize = 64;

/// What connections are held to.
#[derive(Debug, Clone, Copy)]
pub struct Connections {
    /// At a time; more wait in the system's queue.
    pub most: usize,
    /// Without a whole request head.
    pub idle: Duration,
    /// The longest head of a request.
    pub head_bytes: usize,
}

/// Serves until `shutdown`, then lets requests that are under way end.
pub async fn serve(listener: TcpListener, router: Router, bounds: Connections, shutdown: CancellationToken) {
    let (places, open) = (Arc::new(Semaphore::new(bounds.most)), GracefulShutdown::new());
    let accept = async {
        loop {
            // Closed by nobody.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let connection = open.watch(connection(stream, &router, bounds));
                    tokio::spawn(async move {
                        // A peer that goes away, is silent or talks nonsense is no event of ours.
                        drop(connection.await);
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection can't be accepted");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    };
    shutdown.run_until_cancelled(accept).await;
    drop(listener);
    open.shutdown().await;
}

type Connection = http1::Connection<TokioIo<TcpStream>, TowerToHyperService<Router>>;

fn connection(stream: TcpStream, router: &Router, bounds: Connections) -> Connection {
    // Answers are small and whole: none waits for the acknowledgement of a part.
    let _ = stream.set_nodelay(true);
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.idle)
        .max_buf_size(bounds.head_bytes)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()))
}
