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
