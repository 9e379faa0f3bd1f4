//! Helm, of several versions, each built when the first test asks for it.

use std::path::PathBuf;

use super::gobuild::{self, Build, Program};
use super::namespace::Namespace;
use super::output::Output;

/// A version of Helm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Helm {
    /// The last line of Helm 3: client-side apply.
    V3_22,
    /// An older Helm 4: server-side apply.
    V4_1,
    /// Helm 4 as of this writing.
    V4_3,
}

impl Helm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::V3_22, Self::V4_1, Self::V4_3];

    /// The version: `4.3.1`.
    pub fn version(self) -> &'static str {
        match self {
            Self::V3_22 => "3.22.0",
            Self::V4_1 => "4.1.4",
            Self::V4_3 => "4.3.1",
        }
    }

    /// The program; built when it is not there yet.
    pub fn program(self) -> PathBuf {
        let (version, package, internal) = match self {
            Self::V3_22 => (self.version(), "helm.sh/helm/v3/cmd/helm", "helm.sh/helm/v3/internal"),
            Self::V4_1 | Self::V4_3 => {
                (self.version(), "helm.sh/helm/v4/cmd/helm", "helm.sh/helm/v4/internal")
            }
        };
        let into = gobuild::root().join(format!("helm-{version}"));
        let ldflags = format!("-s -w -X {internal}/version.version=v{version}");
        let title = format!("Helm {version}");
        let module = gobuild::module(&format!("helm-{version}"));
        let build =
            Build { go: "go", title: &title, module: &module, into: &into, ldflags: &ldflags };
        build
            .ensure(&[Program { name: "helm", package }])
            .unwrap_or_else(|sentence| panic!("no Helm {version} to test with: {sentence}"));
        into.join("helm")
    }
}

impl Namespace {
    /// Runs Helm in this namespace as its user.
    pub fn helm(&self, helm: Helm, args: &[&str]) -> Output {
        let mut command = self.user().command(&helm.program());
        Output::of(command.args(["--namespace", self.name()]).args(args), "")
    }
}
