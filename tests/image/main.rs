//! The container image: the Dockerfile agrees with the crate and the chart, and what its build
//! command makes is a static binary that serves in a root file system with nothing else in it. With
//! it goes what a release has besides. A release is assembled on Linux, so that is where this is tested.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the helpers of tests panic where a test would"
)]

mod layout;
mod names;
mod release;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use support::output::Output;
use support::{net, wait};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The Dockerfile without comments, its continued lines joined.
fn instructions() -> Vec<String> {
    let text = read("Dockerfile")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect::<Vec<_>>()
        .join("\n");
    text.replace("\\\n", "")
        .lines()
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

#[track_caller]
fn instruction(prefix: &str) -> String {
    let all = instructions();
    all.iter()
        .find(|line| line.starts_with(prefix))
        .unwrap_or_else(|| panic!("no {prefix}"))
        .clone()
}

/// The value of a key in a TOML or YAML file of the project, quotes taken off.
fn value(file: &str, key: &str) -> String {
    let text = read(file);
    let line = text
        .lines()
        .find(|line| line.trim_start().starts_with(key))
        .unwrap_or_else(|| panic!("no {key}"));
    line.split_once(['=', ':']).unwrap().1.trim().trim_matches('"').to_owned()
}

#[test]
fn the_compiler_of_the_image_is_the_pinned_one() {
    let channel = value("rust-toolchain.toml", "channel");
    let from = instruction("FROM --platform=$BUILDPLATFORM rust:");
    assert!(from.contains(&format!("rust:{channel}-")), "{from}");
}

#[test]
fn the_user_is_a_number_so_that_the_kubelet_can_prove_it_is_not_root() {
    // The chart asks for runAsNonRoot and names no user, so that OpenShift can choose one.
    assert_eq!(instruction("USER"), "USER 65532:65532");
    let values = read("charts/rejob/values.yaml");
    assert!(values.contains("runAsNonRoot: true") && values.contains("own user is 65532"));
}

#[test]
fn the_chart_gives_the_entry_point_the_subcommand_first() {
    assert_eq!(instruction("ENTRYPOINT"), r#"ENTRYPOINT ["/rejob"]"#);
    assert_eq!(instruction("CMD"), r#"CMD ["serve"]"#);
    assert!(
        read("charts/rejob/templates/deployment.yaml").contains("args:\n            - serve\n")
    );
}

#[test]
fn whatever_is_copied_reaches_the_builder_and_nothing_else_does() {
    let ignore = read(".dockerignore");
    let mut let_in: Vec<_> = ignore.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert!(ignore.lines().any(|line| line == "*"));
    let copies: Vec<_> = instructions()
        .iter()
        .filter(|line| line.starts_with("COPY ") && !line.contains("--from"))
        .flat_map(|line| {
            let mut words: Vec<_> = line.split_whitespace().skip(1).map(str::to_owned).collect();
            words.pop();
            words
        })
        .collect();
    for copied in &copies {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(copied).exists(), "{copied}");
        let before = let_in.len();
        let_in.retain(|path| path != copied);
        assert_eq!(let_in.len() + 1, before, "{copied} is ignored");
    }
    assert!(let_in.is_empty(), "not copied: {let_in:?}");
}

/// What `scripts/build.sh` makes for this machine, as the Dockerfile has it made;
/// `REJOB_IMAGE_PROFILE=release` to the letter, else without optimization, which takes a third of the time.
fn build() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let profile = std::env::var("REJOB_IMAGE_PROFILE").unwrap_or_else(|_| "dev".to_owned());
    let mut build = Command::new(root.join("scripts/build.sh"));
    build.args([&target, &profile]);
    build.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("image"));
    PathBuf::from(Output::of(&mut build, "").ok().line())
}

/// Whether an ELF file asks for a dynamic linker (program header of the type `PT_INTERP`).
fn is_dynamic(path: &Path) -> bool {
    let mut elf = Vec::new();
    fs::File::open(path).expect("the binary").read_to_end(&mut elf).expect("read it");
    assert_eq!(&elf[..5], b"\x7fELF\x02", "not a 64-bit ELF file");
    let number = |at: usize, size: usize| {
        elf[at..at + size].iter().rev().fold(0_usize, |sum, &byte| sum << 8 | usize::from(byte))
    };
    let (offset, size, count) = (number(0x20, 8), number(0x36, 2), number(0x38, 2));
    (0..count).any(|index| number(offset + index * size, 4) == 3)
}

/// A process that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Builds every dependency again, statically: minutes, once.
#[test]
fn the_static_binary_serves_in_the_root_file_system_of_the_image() {
    let binary = build();
    assert!(!is_dynamic(&binary), "{} asks for a dynamic linker", binary.display());
    assert!(is_dynamic(Path::new("/proc/self/exe")), "the check cannot tell");
    if binary.parent().unwrap().ends_with("release") {
        let size = fs::metadata(&binary).expect("its size").len();
        assert!(size < 20_000_000, "{size} bytes");
    }
    let root = tempfile::tempdir().expect("a root");
    let rootfs = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/rootfs.sh");
    Output::of(Command::new(rootfs).arg(&binary).arg(root.path()), "").ok();
    // The kubelet makes the folder of a mount.
    fs::create_dir(root.path().join("etc/rejob")).expect("a folder");
    fs::write(root.path().join("etc/rejob/policies.yaml"), "policies: {mine: {}}\n")
        .expect("policies");

    let (port, admin) = (net::free_port(), net::free_port());
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--root"]).arg(root.path()).args(["/rejob", "serve"]);
    command.args([
        "--listen",
        &format!("127.0.0.1:{port}"),
        "--admin-listen",
        &format!("127.0.0.1:{admin}"),
    ]);
    command.args(["--policies", "/etc/rejob/policies.yaml"]).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let log = fs::File::create(root.path().join("log")).expect("a log");
    command.stdin(Stdio::null()).stdout(log.try_clone().expect("share it")).stderr(log);
    let mut running = Running(command.spawn().expect("unshare of util-linux"));
    wait::until("the server in the empty root is ready", || {
        let ended = running.0.try_wait().expect("ask for its end");
        let log = || fs::read_to_string(root.path().join("log")).unwrap_or_default();
        assert!(ended.is_none(), "{ended:?}: {}", log());
        net::get(admin, "/readyz").filter(|(status, _)| *status == 200)
    });
    let (_, metrics) = net::get(admin, "/metrics").expect("metrics");
    assert!(metrics.contains("rejob_build_info"), "{metrics}");
}
