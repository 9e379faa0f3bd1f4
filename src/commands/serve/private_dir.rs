//! A directory for one process: only its user can enter it, and it goes when the process ends.

use std::fs::DirBuilder;
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// How many names are tried: they are taken only by what earlier processes left behind.
const ATTEMPTS: u32 = 1000;

/// The directory; removed when dropped.
#[derive(Debug)]
pub(super) struct PrivateDir(PathBuf);

impl PrivateDir {
    /// Makes a new one in `parent`. Whatever exists under a name, a link included, is never used.
    pub fn new(parent: &Path) -> Result<Self> {
        for attempt in 0..ATTEMPTS {
            let path = parent.join(format!("rejob-{}-{attempt}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::new(ErrorKind::AlreadyExists, "too many rejob-* directories are left there"))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for PrivateDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_new_private_and_gone_afterwards() {
        let parent = tempfile::tempdir().unwrap();
        let first = PrivateDir::new(parent.path()).unwrap();
        let second = PrivateDir::new(parent.path()).unwrap();
        assert_ne!(first.path(), second.path());
        let mode = first.path().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let path = first.path().to_owned();
        drop(first);
        assert!(!path.exists() && second.path().exists());
    }
}
