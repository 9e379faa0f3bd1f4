//! etcd, kube-apiserver, kube-controller-manager and kubectl: found or built.
//!
//! Built from `tests/controlplane/` unless `KUBEBUILDER_ASSETS` names a folder that has them. The
//! bundles of envtest lack kube-controller-manager: that one is then built, of the newest version
//! here that is not newer than the bundle's API server. `REJOB_TEST_KUBERNETES=1.30` (or another
//! minor version of [`RELEASES`]) asks for one release and goes before `KUBEBUILDER_ASSETS`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::gobuild::{self, Build, Program};

/// A Kubernetes release that can be built: version and folder of its Go module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// The minor version: 37.
    pub minor: u32,
    /// The version: `1.37.2`.
    pub version: &'static str,
    /// The folder under `tests/controlplane`.
    pub module: &'static str,
}

/// The releases, the default first.
pub const RELEASES: [Release; 3] = [
    Release { minor: 37, version: "1.37.2", module: "." },
    Release { minor: 34, version: "1.34.4", module: "1.34" },
    Release { minor: 30, version: "1.30.14", module: "1.30" },
];

const ETCD: Program = Program { name: "etcd", package: "go.etcd.io/etcd/server/v3" };
const APISERVER: Program =
    Program { name: "kube-apiserver", package: "k8s.io/kubernetes/cmd/kube-apiserver" };
const CONTROLLER_MANAGER: Program = Program {
    name: "kube-controller-manager",
    package: "k8s.io/kubernetes/cmd/kube-controller-manager",
};
const KUBECTL: Program = Program { name: "kubectl", package: "k8s.io/kubernetes/cmd/kubectl" };

/// What does instead of a build.
const OR_ASSETS: &str =
    ", or set KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver and kubectl";

/// The programs of a control plane.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// The minor version of Kubernetes: 37.
    pub minor: u32,
    /// etcd.
    pub etcd: PathBuf,
    /// kube-apiserver.
    pub apiserver: PathBuf,
    /// kube-controller-manager.
    pub controller_manager: PathBuf,
    /// kubectl.
    pub kubectl: PathBuf,
}

/// Where the programs are to come from: the two variables of the environment.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// `REJOB_TEST_KUBERNETES`.
    pub release: Option<String>,
    /// `KUBEBUILDER_ASSETS`.
    pub assets: Option<PathBuf>,
}

impl Source {
    /// What the environment says.
    pub fn from_env() -> Self {
        let get = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            release: get("REJOB_TEST_KUBERNETES").map(|v| v.to_string_lossy().into_owned()),
            assets: get("KUBEBUILDER_ASSETS").map(PathBuf::from),
        }
    }
}

impl Binaries {
    /// The programs of this run; found, or built, once per process.
    ///
    /// Panics with one sentence on how to get them when that fails: a test that needs a control
    /// plane never passes without one.
    pub fn get() -> &'static Self {
        static BINARIES: OnceLock<Result<Binaries, String>> = OnceLock::new();
        BINARIES
            .get_or_init(|| Self::find(&Source::from_env(), "go", &gobuild::root()))
            .as_ref()
            .unwrap_or_else(|sentence| panic!("no control plane to test on: {sentence}"))
    }

    /// Finds or builds the programs: `go` is the Go command, `root` the folder for what is built.
    ///
    /// # Errors
    /// One sentence on how to get them.
    pub fn find(source: &Source, go: &str, root: &Path) -> Result<Self, String> {
        match (&source.release, &source.assets) {
            (Some(minor), _) => Self::built(requested(minor)?, go, root),
            (None, Some(assets)) => Self::assets(assets, go, root),
            (None, None) => Self::built(RELEASES[0], go, root),
        }
    }

    fn built(release: Release, go: &str, root: &Path) -> Result<Self, String> {
        let bin = build(release, go, root, &[ETCD, APISERVER, CONTROLLER_MANAGER, KUBECTL])?;
        Ok(Self {
            minor: release.minor,
            etcd: bin.join(ETCD.name),
            apiserver: bin.join(APISERVER.name),
            controller_manager: bin.join(CONTROLLER_MANAGER.name),
            kubectl: bin.join(KUBECTL.name),
        })
    }

    fn assets(assets: &Path, go: &str, root: &Path) -> Result<Self, String> {
        let have = |program: Program| {
            let path = assets.join(program.name);
            path.exists().then_some(path).ok_or_else(|| {
                format!(
                    "KUBEBUILDER_ASSETS is {}, which has no {}: {}{OR_ASSETS}",
                    assets.display(),
                    program.name,
                    gobuild::HOW_TO_GET_IT
                )
            })
        };
        let (etcd, apiserver, kubectl) = (have(ETCD)?, have(APISERVER)?, have(KUBECTL)?);
        let minor = minor_of(&apiserver)?;
        let controller_manager = if let Ok(path) = have(CONTROLLER_MANAGER) {
            path
        } else {
            let release = not_newer_than(minor)?;
            build(release, go, root, &[CONTROLLER_MANAGER])?.join(CONTROLLER_MANAGER.name)
        };
        Ok(Self { minor, etcd, apiserver, controller_manager, kubectl })
    }
}

/// The release that `REJOB_TEST_KUBERNETES` asks for.
fn requested(minor: &str) -> Result<Release, String> {
    let find = |release: &&Release| minor == format!("1.{}", release.minor);
    RELEASES.iter().find(find).copied().ok_or_else(|| {
        format!("REJOB_TEST_KUBERNETES is {minor:?}: allowed are 1.37, 1.34 and 1.30")
    })
}

/// The newest release here that a controller manager beside an API server of that version may have.
fn not_newer_than(minor: u32) -> Result<Release, String> {
    RELEASES.into_iter().find(|release| release.minor <= minor).ok_or_else(|| {
        format!(
            "KUBEBUILDER_ASSETS holds Kubernetes 1.{minor}: 1.30 is the oldest supported version"
        )
    })
}

/// Asks a kube-apiserver for its minor version.
fn minor_of(apiserver: &Path) -> Result<u32, String> {
    let output = Command::new(apiserver).arg("--version").output();
    let output = output.map_err(|error| format!("cannot run {}: {error}", apiserver.display()))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let minor = said.trim().strip_prefix("Kubernetes v1.").and_then(|rest| rest.split('.').next());
    minor
        .and_then(|minor| minor.parse().ok())
        .ok_or_else(|| format!("{} --version does not name a version: {said}", apiserver.display()))
}

/// Builds programs of a release; the folder they are in.
fn build(release: Release, go: &str, root: &Path, programs: &[Program]) -> Result<PathBuf, String> {
    let Release { minor, version, module } = release;
    let into = root.join(version);
    // Without a version the server calls itself v0.0.0-master, and Helm's kubeVersion check fails.
    let ldflags = format!(
        "-s -w -X k8s.io/component-base/version.gitVersion=v{version} \
         -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor={minor} \
         -X k8s.io/client-go/pkg/version.gitVersion=v{version}"
    );
    let title = format!("Kubernetes {version}");
    let module = gobuild::module(module);
    Build { go, title: &title, module: &module, into: &into, ldflags: &ldflags }
        .ensure(programs)
        .map_err(|sentence| sentence + OR_ASSETS)?;
    Ok(into)
}
