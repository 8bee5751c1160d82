//! A file known by the digest of its content.

use crate::error::{Doing, Result};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file with its digest and size.
#[derive(Clone, Debug)]
pub struct Blob {
    /// Where it is.
    pub file: PathBuf,
    /// SHA-256 in hexadecimal.
    pub digest: String,
    /// Bytes.
    pub size: u64,
}

impl Blob {
    /// Describes a file. A digest is noted beside a large file, since making it takes longer than all else.
    pub fn of(file: &Path) -> Result<Self> {
        let about = fs::metadata(file).doing(format!("looking at {}", file.display()))?;
        let note = file.with_extension("sha256");
        let state = format!("{} {}.{} ", about.len(), about.mtime(), about.mtime_nsec());
        let noted = fs::read_to_string(&note).ok().and_then(|text| text.strip_prefix(&state).map(str::to_owned));
        let digest = match noted {
            Some(digest) => digest,
            None => digest_of(file)?,
        };
        fs::write(&note, format!("{state}{digest}")).doing(format!("writing {}", note.display()))?;
        Ok(Self { file: file.to_owned(), digest, size: about.len() })
    }
}

fn digest_of(file: &Path) -> Result<String> {
    let mut content = BufReader::new(File::open(file).doing(format!("opening {}", file.display()))?);
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        let read = content.read(&mut buffer).doing(format!("reading {}", file.display()))?;
        if read == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&buffer[..read]);
    }
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
