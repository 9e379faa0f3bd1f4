//! What a check explores: who sends what, and what may go wrong.

use rejob::review::UserInfo;

/// What a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A strategic or merge patch of the image.
    Patch,
    /// A merge patch of the parallelism alone.
    Scale,
    /// A patch of a label alone.
    Label,
    /// A server-side apply of the whole manifest, without force.
    Apply,
    /// PUT of the bare manifest.
    Put,
    /// GET, then PUT with the resourceVersion.
    PutAtRevision,
    /// `kubectl apply`: GET, then POST, or a patch of what differs, or nothing.
    Kubectl,
    /// Helm 3: GET, then a patch of the image, or nothing; the annotation that it sets is there already.
    Helm,
}

/// One client: its commands come one after the other.
#[derive(Debug, Clone)]
pub struct Sender {
    pub kind: Kind,
    pub user: &'static str,
    pub manager: &'static str,
    /// The image that each command asks for.
    pub images: Vec<&'static str>,
}

impl Sender {
    pub fn new(kind: Kind, user: &'static str, images: &[&'static str]) -> Self {
        Self { kind, user, manager: "tool", images: images.to_vec() }
    }

    pub fn with_manager(self, manager: &'static str) -> Self {
        Self { manager, ..self }
    }

    /// Whether it asks for a template of its own.
    pub fn asks(&self) -> bool {
        !matches!(self.kind, Kind::Label | Kind::Scale)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailurePolicy {
    Fail,
    Ignore,
}

/// A forged review: the user and manager that it claims.
#[derive(Debug, Clone, Copy)]
pub struct Forgery {
    pub user: &'static str,
    pub manager: &'static str,
    /// A group that the user is not in, and that may do everything.
    pub group: Option<&'static str>,
}

#[derive(Debug, Clone)]
pub struct Scenario {
    pub senders: Vec<Sender>,
    pub failure_policy: FailurePolicy,
    /// The first read may come from the watch cache.
    pub cache: bool,
    /// How many faults: a crash, a call that fails, is lost or comes late, a call given up.
    pub faults: u8,
    pub forgery: Option<Forgery>,
    /// Pods become ready, so that a started Job makes progress, and finish later.
    pub pods_become_ready: bool,
    /// The image of the Job that is there at first was set beside kubectl's record, to this.
    pub image_set: Option<&'static str>,
    /// The Job that is there at first was made by an apply of this manager.
    pub applied_by: Option<&'static str>,
    /// The checks are made in the user's name.
    pub as_user: bool,
    /// Every command must succeed.
    pub all_succeed: bool,
}

impl Scenario {
    pub fn of(senders: Vec<Sender>) -> Self {
        Self {
            senders,
            failure_policy: FailurePolicy::Fail,
            cache: true,
            faults: 0,
            forgery: None,
            pods_become_ready: false,
            image_set: None,
            applied_by: None,
            as_user: false,
            all_succeed: false,
        }
    }
}

/// Who may do what: `patch-only` may patch and nothing else, as who is in no group.
pub fn may_replace(user: &UserInfo) -> bool {
    user.username != "patch-only" || !user.groups.is_empty()
}
