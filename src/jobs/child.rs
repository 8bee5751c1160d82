//! Runs one program to its end, or to the end of its budget: no shell, no unread pipe, no process left behind.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use super::budget::Budget;
use crate::evidence::Failure;

/// How long a program has to end after an interrupt: restic removes its lock from the repository in that time.
const GRACE: Duration = Duration::from_secs(5);

/// As much of standard output is kept, in bytes. Listings are far below it.
const OUTPUT: u64 = 64 << 20;

/// As much of standard error is kept, in bytes.
const ERRORS: usize = 16 << 10;

/// What a program is given besides its arguments.
#[derive(Default)]
pub struct Feed {
    /// Its standard input.
    pub input: String,
    /// Which line on standard error means that waiting for the end is pointless.
    pub hopeless: Option<fn(&str) -> bool>,
}

/// How a program ended.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code; none when it was killed for being hopeless.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// The end of its standard error.
    pub err: String,
}

/// A program that did not end by itself: why, and what it had said.
#[derive(Debug)]
pub struct Unfinished {
    /// The reason.
    pub failure: Failure,
    /// The end of its standard error.
    pub err: String,
}

impl From<Failure> for Unfinished {
    fn from(failure: Failure) -> Self {
        Unfinished { failure, err: String::new() }
    }
}

/// Runs the program. The budget's end interrupts it, and kills it if that does not help.
pub async fn run(mut command: Command, feed: Feed, budget: &Budget) -> Result<Finished, Unfinished> {
    budget.check()?;
    let mut child = spawn(&mut command)?;
    let mut errors = String::new();
    let outcome = tokio::select! {
        ended = attend(&mut child, feed, &mut errors) => Ok(ended),
        failure = budget.spent() => Err(failure),
    };
    match outcome {
        Ok(Ok((status, out))) => Ok(Finished { code: status.and_then(|status| status.code()), out, err: errors }),
        Ok(Err(error)) => Err(Failure::new("ToolFailed", format!("{error} while talking to {command:?}")).into()),
        Err(failure) => {
            end(&mut child).await;
            Err(Unfinished { failure, err: errors })
        }
    }
}

fn spawn(command: &mut Command) -> Result<Child, Failure> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    command.spawn().map_err(|error| {
        Failure::new("ToolMissing", format!("{program} could not be started ({error}); use an image that contains it"))
    })
}

/// Why listening to a program ended early.
enum Cut {
    Pipe(std::io::Error),
    Hopeless,
}

impl From<std::io::Error> for Cut {
    fn from(error: std::io::Error) -> Self {
        Cut::Pipe(error)
    }
}

type Ended = std::io::Result<(Option<ExitStatus>, String)>;

/// Feeds and reads the program until it ends, or until a line says that it never will.
async fn attend(child: &mut Child, feed: Feed, errors: &mut String) -> Ended {
    let write = write(child.stdin.take(), feed.input);
    let read = read(child.stdout.take());
    let listen = listen(child.stderr.take(), feed.hopeless, errors);
    match tokio::try_join!(write, read, listen) {
        Ok(((), out, ())) => Ok((Some(child.wait().await?), out)),
        Err(Cut::Pipe(error)) => Err(error),
        Err(Cut::Hopeless) => {
            child.kill().await?;
            Ok((None, String::new()))
        }
    }
}

async fn write(pipe: Option<impl AsyncWrite + Unpin>, input: String) -> Result<(), Cut> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    match pipe.write_all(input.as_bytes()).await {
        // A program that ends before it has read everything says why by its exit code.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

async fn read(pipe: Option<impl AsyncRead + Unpin>) -> Result<String, Cut> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(OUTPUT).read_to_end(&mut bytes).await?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn listen(
    pipe: Option<impl AsyncRead + Unpin>,
    hopeless: Option<fn(&str) -> bool>,
    errors: &mut String,
) -> Result<(), Cut> {
    let Some(pipe) = pipe else { return Ok(()) };
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    while pipe.read_until(b'\n', &mut line).await? > 0 {
        let text = String::from_utf8_lossy(&line).into_owned();
        keep(errors, &text);
        if hopeless.is_some_and(|hopeless| hopeless(&text)) {
            return Err(Cut::Hopeless);
        }
        line.clear();
    }
    Ok(())
}

/// Appends a line and keeps the end of the whole.
fn keep(errors: &mut String, line: &str) {
    errors.push_str(line);
    let surplus = errors.len().saturating_sub(ERRORS);
    let start = (surplus..=errors.len()).find(|at| errors.is_char_boundary(*at)).unwrap_or(0);
    errors.drain(..start);
}

/// Interrupts a program so that it can tidy up, and kills it when it does not end.
async fn end(child: &mut Child) {
    if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
        // restic answers SIGINT by removing its lock; old releases do not answer SIGTERM.
        let _gone_already = kill_process(pid, Signal::INT);
    }
    if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
        let _gone_meanwhile = child.kill().await;
    }
}
