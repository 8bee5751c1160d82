//! Other people's programs, run to their end.

use crate::error::{Doing, Error, Result};
use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs a program and gives its standard output; a failure carries what the program said.
pub fn run<I>(program: impl AsRef<OsStr>, args: I) -> Result<String>
where
    I: IntoIterator,
    I::Item: AsRef<OsStr>,
{
    checked(Command::new(program).args(args), None)
}

/// Whether a program ran and ended well; what it says is dropped.
pub fn succeeds<I>(program: &str, args: I) -> bool
where
    I: IntoIterator,
    I::Item: AsRef<OsStr>,
{
    let status =
        Command::new(program).args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Runs a prepared command, with `input` if there is any, and gives its standard output.
pub fn checked(command: &mut Command, input: Option<&str>) -> Result<String> {
    let shown = shown(command);
    let output = output(command, input).doing(&shown)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::new(format!("{shown} failed ({}): {}", output.status, said.trim())))
}

fn output(command: &mut Command, input: Option<&str>) -> std::io::Result<Output> {
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    let mut child = command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let (Some(text), Some(mut pipe)) = (input, child.stdin.take()) {
        pipe.write_all(text.as_bytes())?;
    }
    child.wait_with_output()
}

/// The program and its first two arguments: enough to know it by, and no later argument can be a secret.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let args = command.get_args().take(2).map(|arg| arg.to_string_lossy().into_owned());
    std::iter::once(program).chain(args).collect::<Vec<_>>().join(" ")
}

/// What an https address answers, or nothing; `ca` is the only authority trusted.
pub fn fetch(url: &str, ca: &Path) -> Option<String> {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--fail", "--max-time", "5", "--cacert"]).arg(ca).arg(url);
    checked(&mut curl, None).ok()
}

/// Whether the file can be found, by path or by name on the search path and where administrators' programs are.
pub fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/sbin", "/usr/lib/cni"].map(Into::into);
    std::env::split_paths(&path).chain(system).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_the_program_said() {
        let said = run("sh", ["-c", "echo gone >&2; exit 3"]).unwrap_err().to_string();
        assert!(said.contains("gone") && said.contains('3'), "{said}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let said = run("no-such-program", ["x"]).unwrap_err().to_string();
        assert!(said.starts_with("no-such-program x"), "{said}");
    }

    #[test]
    fn input_reaches_the_program() {
        let said = checked(&mut Command::new("cat"), Some("hello")).unwrap();
        assert_eq!(said, "hello");
    }
}
