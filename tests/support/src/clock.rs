//! A wall clock for a process, which a test moves while the process runs (Linux).

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The wall clock of one process.
#[derive(Debug)]
pub struct WallClock {
    library: PathBuf,
    offset: PathBuf,
}

impl WallClock {
    /// A clock that shows the real time; its files are in that folder.
    pub fn new(dir: &Path) -> Self {
        let (library, offset) = (dir.join("clock.so"), dir.join("clock.offset"));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/clock.c");
        let cc = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&library, Path::new(source)])
            .status()
            .expect("run cc, which Rust needs to link programs as well");
        assert!(cc.success(), "cc does not compile {source}");
        fs::write(&offset, 0_i64.to_ne_bytes()).expect("write the offset of a clock");
        Self { library, offset }
    }

    /// The environment that gives a process this clock.
    pub fn env(&self) -> [(&'static str, &Path); 2] {
        [("LD_PRELOAD", &self.library), ("REJOB_TEST_CLOCK", &self.offset)]
    }

    /// Moves it to so many seconds after the real time.
    pub fn set(&self, seconds: i64) {
        let file = File::options().write(true).open(&self.offset).expect("open a clock");
        file.write_all_at(&seconds.to_ne_bytes(), 0).expect("move a clock");
    }
}
