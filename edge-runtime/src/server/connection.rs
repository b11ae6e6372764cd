//! Connections that end: nobody keeps one, or the server, waiting for good.
//!
//! hyper waits for the head of a request, and for a client to take its answer, as long as the connection lasts.
//! Here a connection is given up that does neither for [`PATIENCE`]; bodies have a limit of their own (`body.rs`), and
//! while a request is at work nothing is counted. A stopping server waits for requests under way, and not beyond [`GRACE`].

use std::future::IntoFuture;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::Next;
use axum::response::Response;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep};

/// How long a connection may stay without a whole head of a request, or without taking a byte of an answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a stopping server waits for the requests under way.
const GRACE: Duration = Duration::from_secs(5);

/// Answers on a listener until `stop`, and then what was asked before.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stopped, stopping) = tokio::sync::oneshot::channel();
    let stop = async {
        stop.await;
        let _ = stopped.send(());
    };
    let service = routes.into_make_service_with_connect_info::<Work>();
    let serving = axum::serve(Patient(listener), service).with_graceful_shutdown(stop).into_future();
    let grace = async {
        let _ = stopping.await;
        sleep(GRACE).await;
    };
    tokio::select! {
        served = serving => served,
        () = grace => {
            tracing::warn!("clients that neither send nor take what is due are left");
            Ok(())
        }
    }
}

/// Marks a connection as one whose request is at work, until the answer is made.
pub(super) async fn at_work(request: Request, next: Next) -> Response {
    let work = request.extensions().get::<ConnectInfo<Work>>().map(|ConnectInfo(work)| work.clone());
    let _done = work.map(Work::begin);
    next.run(request).await
}

/// Whether a connection's request is at work.
#[derive(Clone, Debug, Default)]
struct Work(Arc<AtomicBool>);

/// Ends the work when it is dropped.
struct Begun(Work);

impl Work {
    fn begin(self) -> Begun {
        self.0.store(true, Ordering::Relaxed);
        Begun(self)
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Relaxed);
    }
}

impl Connected<IncomingStream<'_, Patient>> for Work {
    fn connect_info(stream: IncomingStream<'_, Patient>) -> Work {
        stream.io().work.clone()
    }
}

/// Gives connections that run out of patience.
struct Patient(TcpListener);

impl Listener for Patient {
    type Io = Connection<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        (Connection::new(stream, PATIENCE), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A stream whose reads and writes fail once they have waited too long.
struct Connection<S> {
    stream: S,
    work: Work,
    patience: Duration,
    /// Runs from the first wait for a request on; what trickles in does not stop it.
    reading: Option<Pin<Box<Sleep>>>,
    /// Runs while no byte can be written.
    writing: Option<Pin<Box<Sleep>>>,
}

impl<S> Connection<S> {
    fn new(stream: S, patience: Duration) -> Connection<S> {
        Connection { stream, work: Work::default(), patience, reading: None, writing: None }
    }

    /// What a write comes to: whoever takes a byte has time for the next one, and for another request.
    fn wrote(&mut self, wrote: Poll<io::Result<usize>>, context: &mut Context) -> Poll<io::Result<usize>> {
        if wrote.is_ready() {
            (self.reading, self.writing) = (None, None);
            return wrote;
        }
        ready!(wait(&mut self.writing, self.patience, context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Waits for the end of a span that begins with the first call.
fn wait(span: &mut Option<Pin<Box<Sleep>>>, patience: Duration, context: &mut Context) -> Poll<()> {
    span.get_or_insert_with(|| Box::pin(sleep(patience))).as_mut().poll(context)
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context, buffer: &mut ReadBuf) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.work.0.load(Ordering::Relaxed) {
            this.reading = None;
            return Pin::new(&mut this.stream).poll_read(context, buffer);
        }
        if wait(&mut this.reading, this.patience, context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut this.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wrote = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.wrote(wrote, context)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, context: &mut Context, slices: &[IoSlice]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let wrote = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.wrote(wrote, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    /// A connection with little patience, and its other end, which takes 8 bytes at a time.
    fn connected() -> (Connection<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let (near, far) = duplex(8);
        (Connection::new(near, SHORT), far)
    }

    #[tokio::test]
    async fn a_head_that_trickles_in_is_given_up() {
        let (mut near, mut far) = connected();
        let trickle = async {
            while far.write_all(b"x").await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        let read = async {
            let mut all = Vec::new();
            let error = near.read_to_end(&mut all).await.unwrap_err();
            drop(near);
            (error.kind(), all.is_empty())
        };
        let ((kind, nothing), ()) = tokio::join!(read, trickle);
        assert_eq!((kind, nothing), (io::ErrorKind::TimedOut, false));
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_given_up() {
        let (mut near, _far) = connected();
        assert_eq!(near.write_all(&[0; 100]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn whoever_was_answered_or_is_waited_for_has_time_again() {
        let (mut near, mut far) = connected();
        let mut byte = [0];
        far.write_all(b"ab").await.unwrap();
        near.read_exact(&mut byte).await.unwrap();
        assert!(near.reading.is_some());
        near.write_all(b"answer").await.unwrap();
        assert!(near.reading.is_none(), "another request has another span");
        near.read_exact(&mut byte).await.unwrap();
        // While a request is at work its client may be silent.
        let done = near.work.clone().begin();
        let silent = async {
            sleep(2 * SHORT).await;
            far.write_all(b"c").await.unwrap();
        };
        let (read, ()) = tokio::join!(near.read_exact(&mut byte), silent);
        read.unwrap();
        drop(done);
        far.write_all(b"d").await.unwrap();
        near.read_exact(&mut byte).await.unwrap();
        assert_eq!(near.read_exact(&mut byte).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
