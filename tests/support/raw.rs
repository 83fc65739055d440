//! Requests that a well-behaved client would not make, byte by byte.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use super::{Api, PATIENCE};

/// A connection on which a request was begun.
pub(crate) struct Raw(TcpStream);

impl Raw {
    /// Sends the head of a POST with the client's key; `framing` is its Content-Length or Transfer-Encoding line.
    pub(crate) fn post(api: &Api, path: &str, content_type: &str, framing: &str) -> Self {
        let mut raw = Self::connect(api);
        let key = api.key();
        write!(
            raw.0,
            "POST {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {key}\r\nContent-Type: {content_type}\r\n{framing}\r\n\r\n"
        )
        .unwrap();
        raw
    }

    /// A connection on which nothing was sent yet.
    pub(crate) fn connect(api: &Api) -> Self {
        let stream = TcpStream::connect(api.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Self(stream)
    }

    /// Sends bytes as they are. False when the server has closed the connection.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// Sends `piece` again and again, as slowly as a client that wants to hold the connection, until the server has
    /// answered or closed it. False if it never does.
    pub(crate) fn trickle(&mut self, mut piece: impl FnMut(&mut Self) -> bool) -> bool {
        self.0.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let answered = match self.0.peek(&mut [0]) {
                Ok(_) => true,
                Err(error) => {
                    !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
                }
            };
            if answered || !piece(self) {
                return true;
            }
        }
        false
    }

    /// Reads whatever comes and does `piece`, again and again, until the server has closed the connection. False if it
    /// never does.
    pub(crate) fn until_closed(&mut self, mut piece: impl FnMut(&mut Self) -> bool) -> bool {
        self.0.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            match self.0.read(&mut [0; 4096]) {
                Ok(0) => return true,
                Err(error)
                    if !matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) =>
                {
                    return true;
                }
                _ if !piece(self) => return true,
                _ => {}
            }
        }
        false
    }

    /// Whether the server closes the connection, on which nothing happens, within a moment.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.0.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        match self.0.read(&mut [0]) {
            Ok(read) => read == 0,
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted),
        }
    }

    /// Reads until so many answers have begun; fails the test if they do not come.
    pub(crate) fn answers(&mut self, count: usize) {
        let (mut read, mut begun) = (Vec::new(), 0);
        let start = b"HTTP/1.1 200 OK\r\n";
        let mut buffer = vec![0; 1 << 16];
        while begun < count {
            let bytes = self.0.read(&mut buffer).expect("the server goes on");
            assert!(bytes > 0, "{begun} of {count} answers");
            read.extend_from_slice(&buffer[..bytes]);
            begun += read.windows(start.len()).filter(|window| window == start).count();
            // Only what may be the beginning of a beginning.
            read.drain(..read.len().saturating_sub(start.len() - 1));
        }
    }

    /// Sends one chunk of a chunked body. False when the server has closed the connection.
    pub(crate) fn chunk(&mut self, bytes: &[u8]) -> bool {
        let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
        framed.extend_from_slice(bytes);
        framed.extend_from_slice(b"\r\n");
        self.0.write_all(&framed).is_ok()
    }

    /// The answer's head and as much of its body as came before the connection was closed or fell silent.
    pub(crate) fn answer(mut self) -> String {
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match self.0.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => answer.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
            if is_whole(&answer) {
                break;
            }
        }
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// Whether a head and the body it announces are there.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let announced = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
    announced.is_some_and(|bytes| body.len() >= bytes)
}
