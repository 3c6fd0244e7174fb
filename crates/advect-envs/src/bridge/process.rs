//! The process of a server: started, sent frames, waited for no longer than allowed, killed on drop.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::config::BridgeConfig;
use super::error::BridgeError;
use super::frame::{self, ERROR, HEADER, Kind, MAX_ERROR, MAX_PAYLOAD, Numbers};
use super::tail::Tail;

/// Time for a process to end by itself when its input is closed.
const GRACE: Duration = Duration::from_secs(1);
/// Time for the rest of a standard error to arrive after the process ended.
const STDERR_PATIENCE: Duration = Duration::from_millis(300);
/// How often a process is looked at while it is waited for.
const LOOK: Duration = Duration::from_millis(500);
/// Longest time limit: adding it to the present cannot overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
/// Length of the input buffer at first; it grows only as bytes arrive.
const INBOX: usize = 64 * 1024;

/// A running server. Its standard input and output are sockets, because their reads and writes can be given a time
/// limit.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// Its standard input.
    input: UnixStream,
    /// Its standard output.
    output: UnixStream,
    tail: Tail,
    inbox: Vec<u8>,
    filled: usize,
    outbox: Vec<u8>,
}

/// Why bytes did not move.
enum Stop {
    Closed,
    TimedOut(Duration),
}

impl Process {
    pub(super) fn spawn(config: &BridgeConfig) -> Result<Self, BridgeError> {
        Self::try_spawn(config).map_err(|error| BridgeError::Start {
            program: config.program.to_string_lossy().into_owned(),
            reason: error.to_string(),
        })
    }

    fn try_spawn(config: &BridgeConfig) -> std::io::Result<Self> {
        let (input, stdin) = UnixStream::pair()?;
        let (output, stdout) = UnixStream::pair()?;
        let mut command = Command::new(&config.program);
        command
            .args(&config.program_arguments)
            .stdin(Stdio::from(OwnedFd::from(stdin)))
            .stdout(Stdio::from(OwnedFd::from(stdout)))
            .stderr(Stdio::piped())
            // an interrupt at the terminal is for this process, which may want to save first
            .process_group(0);
        if std::env::var_os("PYTHONHASHSEED").is_none() {
            // the order of sets must not differ between two runs
            command.env("PYTHONHASHSEED", "0");
        }
        let mut child = command.spawn()?;
        let Some(stderr) = child.stderr.take() else {
            return Err(std::io::Error::other("it has no standard error"));
        };
        Ok(Self {
            tail: Tail::follow(stderr)?,
            child,
            input,
            output,
            inbox: vec![0; INBOX],
            filled: 0,
            outbox: Vec::new(),
        })
    }

    /// Id of the process.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a request.
    pub(super) fn send(
        &mut self,
        kind: Kind,
        timeout: Duration,
        payload: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), BridgeError> {
        frame::encode(&mut self.outbox, kind, payload);
        if self.outbox.len() > HEADER + MAX_PAYLOAD {
            let reason = format!("the request has {} bytes, too many", self.outbox.len());
            return Err(self.protocol(kind, reason));
        }
        self.write_all(timeout)
            .map_err(|stop| self.stopped(kind, stop))
    }

    /// The payload of the answer to `kind`, whose length is in `sizes`.
    pub(super) fn receive(
        &mut self,
        kind: Kind,
        sizes: RangeInclusive<usize>,
        timeout: Duration,
    ) -> Result<&[u8], BridgeError> {
        self.filled = 0;
        let deadline = deadline(timeout);
        self.fill(kind, HEADER, deadline, timeout)?;
        let mut header = [0; HEADER];
        header.copy_from_slice(&self.inbox[..HEADER]);
        let (len, found) = frame::decode_header(header);
        if let Err(reason) = check_header(kind, found, len, &sizes) {
            return Err(self.protocol(kind, reason));
        }
        self.fill(kind, HEADER + len, deadline, timeout)?;
        if self.filled > HEADER + len {
            let surplus = self.filled - HEADER - len;
            return Err(self.protocol(kind, format!("{surplus} bytes came behind the answer")));
        }
        if found == ERROR {
            return Err(self.reported(kind, len));
        }
        Ok(&self.inbox[HEADER..HEADER + len])
    }

    /// The failure for an answer that breaks the protocol.
    pub(super) fn protocol(&self, kind: Kind, reason: String) -> BridgeError {
        let stderr = self.tail.lines(Duration::ZERO);
        match kind {
            Kind::Hello => BridgeError::Handshake {
                reason: format!("{reason}; it began with `{}`", self.first_bytes()),
                stderr,
            },
            _ => BridgeError::Protocol {
                doing: kind.doing(),
                reason,
                stderr,
            },
        }
    }

    fn first_bytes(&self) -> String {
        let shown = &self.inbox[..self.filled.min(48)];
        shown.escape_ascii().to_string()
    }

    /// Reads until `wanted` bytes are there; may read more if more have come.
    fn fill(
        &mut self,
        kind: Kind,
        wanted: usize,
        deadline: Instant,
        timeout: Duration,
    ) -> Result<(), BridgeError> {
        while self.filled < wanted {
            if self.filled == self.inbox.len() {
                self.inbox.resize(2 * self.filled, 0);
            }
            match self.read(deadline, timeout) {
                Ok(read) => self.filled += read,
                Err(stop) => return Err(self.stopped(kind, stop)),
            }
        }
        Ok(())
    }

    /// Reads what has come; no bytes if none have for a while.
    fn read(&mut self, deadline: Instant, timeout: Duration) -> Result<usize, Stop> {
        let left = time_left(deadline, timeout)?.min(LOOK);
        let set = self.output.set_read_timeout(Some(left));
        set.map_err(|_| Stop::Closed)?;
        match self.output.read(&mut self.inbox[self.filled..]) {
            Ok(0) => Err(Stop::Closed),
            Ok(read) => Ok(read),
            Err(error) if is_pause(&error) => match self.child.try_wait() {
                // what it started may live on and hold its output open
                Ok(Some(_)) => Err(Stop::Closed),
                _ => Ok(0),
            },
            Err(_) => Err(Stop::Closed),
        }
    }

    fn write_all(&mut self, timeout: Duration) -> Result<(), Stop> {
        let deadline = deadline(timeout);
        let mut written = 0;
        while written < self.outbox.len() {
            let left = time_left(deadline, timeout)?;
            let set = self.input.set_write_timeout(Some(left));
            set.map_err(|_| Stop::Closed)?;
            match self.input.write(&self.outbox[written..]) {
                Ok(0) => return Err(Stop::Closed),
                Ok(len) => written += len,
                Err(error) if is_pause(&error) => {}
                Err(_) => return Err(Stop::Closed),
            }
        }
        Ok(())
    }

    fn stopped(&mut self, kind: Kind, stop: Stop) -> BridgeError {
        let doing = kind.doing();
        match stop {
            Stop::Closed => BridgeError::Exited {
                doing,
                status: self.end(GRACE),
                stderr: self.tail.lines(STDERR_PATIENCE),
            },
            Stop::TimedOut(after) => {
                self.end(Duration::ZERO);
                BridgeError::Timeout {
                    doing,
                    after,
                    stderr: self.tail.lines(STDERR_PATIENCE),
                }
            }
        }
    }

    /// The failure that an error answer of `len` bytes reports.
    fn reported(&self, kind: Kind, len: usize) -> BridgeError {
        let mut numbers = Numbers(&self.inbox[HEADER..HEADER + len]);
        let (Ok(code), Ok(env)) = (numbers.u32(), numbers.u32()) else {
            return self.protocol(kind, "the error answer is too short".to_owned());
        };
        let text = String::from_utf8_lossy(numbers.0).into_owned();
        match code {
            1 => BridgeError::Exception {
                doing: kind.doing(),
                env,
                traceback: text,
            },
            2 => BridgeError::Space { space: text },
            3 => BridgeError::Refused { reason: text },
            _ => self.protocol(kind, format!("the server reports error {code}: {text}")),
        }
    }

    /// Waits for the end for at most `grace`, then kills; the exit status in words.
    fn end(&mut self, grace: Duration) -> String {
        let deadline = deadline(grace);
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return status.to_string(),
                Ok(None) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                _ => break,
            }
        }
        // fails only where the process has ended, and then the wait says so
        let _ = self.child.kill();
        let _ = self.child.wait();
        "it closed its output and was killed".to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // the end of its input asks a server to end
        let _ = self.input.shutdown(Shutdown::Both);
        self.end(GRACE);
    }
}

fn deadline(timeout: Duration) -> Instant {
    Instant::now() + timeout.min(LONGEST)
}

/// What is left until `deadline`, never zero, which the system takes for no limit.
fn time_left(deadline: Instant, timeout: Duration) -> Result<Duration, Stop> {
    let left = deadline.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => Err(Stop::TimedOut(timeout)),
        false => Ok(left.max(Duration::from_micros(1))),
    }
}

/// Whether nothing moved yet, but may.
fn is_pause(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut
    )
}

fn check_header(
    kind: Kind,
    found: u8,
    len: usize,
    sizes: &RangeInclusive<usize>,
) -> Result<(), String> {
    let allowed = match found {
        ERROR => &(8..=MAX_ERROR),
        _ if found == kind.answer() => sizes,
        _ => {
            let wanted = kind.answer();
            return Err(format!(
                "an answer of kind {found} came instead of {wanted}"
            ));
        }
    };
    if allowed.contains(&len) {
        return Ok(());
    }
    let (least, most) = (allowed.start(), allowed.end());
    Err(match least == most {
        true => format!("the answer has {len} bytes instead of {least}"),
        false => format!("the answer has {len} bytes instead of {least} to {most}"),
    })
}
