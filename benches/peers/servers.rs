//! The three webhooks, built and started.

use std::fs::File;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use support::gobuild::{self, Build, Program};
use support::load::Target;
use support::pki::Pki;
use support::{net, paths, wait};

/// A webhook that runs.
pub struct Server {
    pub name: &'static str,
    /// Where reviews are posted.
    pub path: &'static str,
    pub target: Target,
    process: Child,
}

impl Server {
    /// rejob first, then its peers. Their logs go nowhere: rejob's on stderr, the peers' on stdout.
    pub fn all(folder: &Path) -> [Self; 3] {
        let pki = Pki::create(folder);
        let pair = pki.server();
        let [certificate, key] = ["tls.crt", "tls.key"].map(|name| folder.join(name));
        std::fs::write(&certificate, pair.certificate).unwrap();
        std::fs::write(&key, pair.key).unwrap();
        let ca = pki.file("ca.crt");
        let rejob = |command: &mut Command, port: u16| {
            command
                .args(["serve", "--admin-listen=127.0.0.1:0", "--log-format=json"])
                .arg(format!("--listen=127.0.0.1:{port}"))
                .arg("--tls-cert")
                .arg(&certificate)
                .arg("--tls-key")
                .arg(&key);
        };
        let naive = |command: &mut Command, port: u16| {
            command.arg(format!("127.0.0.1:{port}")).arg(&certificate).arg(&key);
        };
        let controller_runtime = |command: &mut Command, port: u16| {
            command.arg(port.to_string()).arg(folder);
        };
        let program = PathBuf::from(env!("CARGO_BIN_EXE_rejob"));
        [
            Self::start("rejob", "/v1/policies/ttl", &program, &ca, None, rejob),
            Self::peer("kube-rs webhook", &build_naive(), &ca, naive),
            Self::peer(
                "controller-runtime webhook",
                &build_controller_runtime(),
                &ca,
                controller_runtime,
            ),
        ]
    }

    fn peer(
        name: &'static str,
        program: &Path,
        ca: &Path,
        arguments: impl FnOnce(&mut Command, u16),
    ) -> Self {
        std::fs::create_dir_all(built()).unwrap();
        let stderr = built().join(format!("{name}.log"));
        Self::start(name, "/mutate", program, ca, Some(&stderr), arguments)
    }

    fn start(
        name: &'static str,
        path: &'static str,
        program: &Path,
        ca: &Path,
        stderr: Option<&Path>,
        arguments: impl FnOnce(&mut Command, u16),
    ) -> Self {
        let port = net::free_port();
        let mut command = Command::new(program);
        arguments(&mut command, port);
        let errors = stderr.map_or_else(Stdio::null, |file| File::create(file).unwrap().into());
        let mut process = command.stdout(Stdio::null()).stderr(errors).spawn().unwrap();
        let address = format!("127.0.0.1:{port}");
        let is_up = wait::poll(wait::DEADLINE, || {
            let ended = process.try_wait().unwrap();
            TcpStream::connect(&address).map(|_| true).ok().or(ended.map(|_| false))
        });
        let hint = stderr.map_or_else(String::new, |file| format!(": see {}", file.display()));
        assert!(is_up == Some(true), "{name} does not come up{hint}");
        let target = Target::new(process.id(), &address, &ca.display().to_string());
        Self { name, path, target, process }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The folder of the peers' sources.
fn peers() -> PathBuf {
    paths::sources().join("benches/peers")
}

/// The folder of what is built of them, and of their stderr.
fn built() -> PathBuf {
    paths::target().join("peers")
}

fn build_naive() -> PathBuf {
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--manifest-path"])
        .arg(peers().join("naive/Cargo.toml"))
        .arg("--target-dir")
        .arg(paths::target())
        .status()
        .expect("run cargo");
    assert!(built.success(), "the webhook on kube's admission types cannot be built");
    paths::target().join("release/naive-webhook")
}

fn build_controller_runtime() -> PathBuf {
    let module = peers().join("controller-runtime");
    let into = built().join(gobuild::digest(&[&module]));
    let build = Build {
        go: "go",
        title: "the controller-runtime webhook",
        module: &module,
        into: &into,
        ldflags: "-s -w",
    };
    build
        .ensure(&[Program { name: "controller-runtime", package: "." }])
        .unwrap_or_else(|sentence| panic!("no peers to measure beside: {sentence}"));
    into.join("controller-runtime")
}
