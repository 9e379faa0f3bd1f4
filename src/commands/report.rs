//! `rejob report`: what `onChange: Report` has reported, summed up: from the cluster's Events, or from
//! audit logs.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use jiff::Timestamp;
use serde::Serialize;

use super::connection::{ClusterArg, namespace};
use super::{Output, json_line, plain, table};
use crate::kubernetes::{ApiRequest, items};
use crate::reason::Reason;
use crate::reported::{Expected, ReportRow, Sum, audit, events};
use crate::review::requester;
use crate::words::{between, label, plural};

/// The flags of `rejob report`.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// Audit logs of the API server, JSON lines; standard input for `-`. Without one, the cluster's
    /// Events are read.
    #[arg(value_name = "AUDIT_LOG")]
    pub files: Vec<PathBuf>,
    /// Which cluster's Events to read.
    #[command(flatten)]
    pub cluster: ClusterArg,
    /// Only this namespace.
    #[arg(short, long, value_name = "NAME", value_parser = namespace)]
    pub namespace: Option<String>,
    /// Print a table, or JSON whose fields docs/report.md describes.
    #[arg(short, long, env = "REJOB_OUTPUT", value_name = "FORMAT", default_value = "text")]
    pub output: Output,
}

/// Where the reports come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum ReportSource {
    Events,
    Audit,
}

#[derive(Debug, Serialize)]
struct ReportDocument<'a> {
    source: ReportSource,
    rows: Vec<&'a ReportRow>,
    summary: Summary,
    /// What could not be read.
    unknown: &'a [String],
}

/// Each outcome is counted in requests, dry runs included.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    jobs: usize,
    requests: usize,
    dry_runs: usize,
    refused: usize,
    unchecked: usize,
    waits: usize,
    replaced: usize,
    unchanged: usize,
}

impl Summary {
    fn of(sum: &Sum) -> Self {
        Self {
            jobs: sum.jobs(),
            requests: sum.rows().map(|row| row.requests).sum(),
            dry_runs: sum.rows().map(|row| row.dry_runs).sum(),
            refused: sum.requests(Expected::Refused),
            unchecked: sum.requests(Expected::Unchecked),
            waits: sum.requests(Expected::Waits),
            replaced: sum.requests(Expected::Replaced),
            unchanged: sum.requests(Expected::Unchanged),
        }
    }
}

/// Runs `rejob report`.
///
/// # Errors
/// When a file cannot be read or is not an audit log, or the cluster does not answer.
pub async fn run(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    let (mut sum, mut unknown) = (Sum::default(), Vec::new());
    let source = if args.files.is_empty() {
        let connection = args.cluster.expect().await?;
        let path = events::path(args.namespace.as_deref());
        let answer = connection.send(ApiRequest::get(&path)).await?;
        if !answer.is_success() {
            let elsewhere = "; choose one namespace with --namespace";
            let way_out = if args.namespace.is_none() { elsewhere } else { "" };
            bail!("{}{way_out}", plain(&answer.message()));
        }
        items(answer.body).iter().filter_map(events::read).for_each(|reported| sum.add(reported));
        ReportSource::Events
    } else {
        let mut seen = BTreeSet::new();
        for file in &args.files {
            unknown.extend(add_log(file, args.namespace.as_deref(), &mut seen, &mut sum)?);
        }
        ReportSource::Audit
    };
    let text = match args.output {
        Output::Text => text(source, &sum, &unknown, Timestamp::now()),
        Output::Json => json_line(&ReportDocument {
            source,
            rows: sum.rows().collect(),
            summary: Summary::of(&sum),
            unknown: &unknown,
        }),
    };
    super::print(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Adds the reports in an audit log; returns what could not be read.
fn add_log(
    file: &Path,
    namespace: Option<&str>,
    seen: &mut BTreeSet<String>,
    sum: &mut Sum,
) -> anyhow::Result<Option<String>> {
    let is_stdin = file == Path::new("-");
    let name = if is_stdin { "stdin".to_owned() } else { file.display().to_string() };
    let open = || -> io::Result<Box<dyn BufRead>> {
        Ok(if is_stdin {
            Box::new(io::stdin().lock())
        } else {
            Box::new(BufReader::with_capacity(1 << 16, File::open(file)?))
        })
    };
    let lines = open().and_then(|input| {
        audit::read(input, seen, |reported| {
            if namespace.is_none_or(|namespace| reported.key.namespace == namespace) {
                sum.add(reported);
            }
        })
    });
    let lines = lines.with_context(|| format!("cannot read {name}"))?;
    if lines.events == 0 && lines.others + lines.broken > 0 {
        bail!(
            "{name} is not an audit log: no line is an event of audit.k8s.io; give the file of the API \
             server's --audit-log-path, and unpack it first: zcat audit.log.gz | rejob report -"
        );
    }
    Ok(lines.first_broken.map(|first| {
        format!(
            "{} of {name}, line {first} first, which {} not JSON: a log that is rotated or copied may be cut",
            plural(lines.broken, "line"),
            if lines.broken == 1 { "is" } else { "are" }
        )
    }))
}

fn text(source: ReportSource, sum: &Sum, unknown: &[String], now: Timestamp) -> String {
    let mut text = String::new();
    if sum.jobs() == 0 {
        text.push_str(nothing(source));
    } else {
        text.push_str(&table(&rows(source, sum, now)));
        let _ = writeln!(text, "\n{}", describe(source, sum));
    }
    for what in unknown {
        let _ = writeln!(text, "not known: {}", plain(what));
    }
    text
}

fn nothing(source: ReportSource) -> &'static str {
    match source {
        ReportSource::Events => {
            "\
nothing was found: no Event reports a change, and Kubernetes keeps Events for an hour by default
is a namespace under onChange: Report? rejob status --all-namespaces
the audit log reaches further back, and has dry runs, after which Flux stops: rejob report AUDIT_LOG
"
        }
        ReportSource::Audit => {
            "\
nothing was reported in this audit log
is a namespace under onChange: Report? rejob status --all-namespaces
does the audit policy log update and patch of jobs.batch, at level Metadata or above?
"
        }
    }
}

fn rows(source: ReportSource, sum: &Sum, now: Timestamp) -> Vec<Vec<String>> {
    let ago = |time| format!("{} ago", between(time, now));
    let mut header = vec!["OUTCOME", "NAMESPACE", "JOB"];
    header.extend(match source {
        ReportSource::Events => &["CHANGES"][..],
        ReportSource::Audit => &["REQUESTS", "DRY RUNS"],
    });
    header.extend(["FIRST", "LAST", "BY", "BECAUSE"]);
    let mut rows = vec![header.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    for row in sum.rows() {
        let key = &row.key;
        let mut cells = vec![label(key.expected), key.namespace.clone(), key.job.clone()];
        cells.push(row.requests.to_string());
        cells.extend((source == ReportSource::Audit).then(|| row.dry_runs.to_string()));
        cells.extend([
            ago(row.first),
            ago(row.last),
            requester(&key.user, Some(&key.manager)),
            because(row),
        ]);
        rows.push(cells);
    }
    rows
}

fn because(row: &ReportRow) -> String {
    let ReportRow { changed, refusal, .. } = row;
    match (refusal, row.key.why_not.as_deref().and_then(Reason::from_label)) {
        (Some(refusal), _) => refusal.clone(),
        (None, Some(Reason::BeingDeletedWait)) => format!("until it is gone: {changed}"),
        (None, Some(_)) => format!("until it has finished: {changed}"),
        (None, None) => changed.clone(),
    }
}

/// The summary line.
fn describe(source: ReportSource, sum: &Sum) -> String {
    let Summary { jobs, requests, dry_runs, refused, unchecked, waits, replaced, unchanged } =
        Summary::of(sum);
    let jobs = plural(jobs, "Job");
    let mut text = match source {
        // An Event tells a change once, however often the client asks again.
        ReportSource::Events => format!("{jobs}, {}", plural(requests, "change")),
        ReportSource::Audit => {
            format!("{jobs}, {} and {}", plural(requests, "request"), plural(dry_runs, "dry run"))
        }
    };
    let _ = write!(
        text,
        ": {refused} would have been refused, {waits} would have waited, {replaced} would have replaced a Job"
    );
    if unchecked > 0 {
        let _ = write!(text, ", {unchecked} could not be checked");
    }
    if unchanged > 0 {
        let _ = write!(text, ", {unchanged} would have run nothing");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reported::{ReportKey, Reported};

    fn sum() -> Sum {
        let mut sum = Sum::default();
        for (why_not, refusal, dry_run) in [
            (None, None, false),
            (None, None, true),
            (Some("running_wait"), None, false),
            (Some("rights_denied"), Some("user \"anna\" may not delete jobs"), false),
        ] {
            sum.add(Reported {
                key: ReportKey {
                    expected: Expected::of(why_not),
                    namespace: "batch".into(),
                    job: "nightly".into(),
                    user: "anna".into(),
                    manager: "helm".into(),
                    why_not: why_not.map(str::to_owned),
                },
                time: Timestamp::from_second(1000).unwrap(),
                dry_run,
                changed: "image: a:1 -> a:2".into(),
                refusal: refusal.map(str::to_owned),
            });
        }
        sum
    }

    #[test]
    fn the_table_is_for_people() {
        let now = Timestamp::from_second(1090).unwrap();
        let unknown = ["2 lines".to_owned()];
        let expected = "\
OUTCOME    NAMESPACE   JOB       REQUESTS   DRY RUNS   FIRST      LAST       BY               BECAUSE
refused    batch       nightly   1          0          90 s ago   90 s ago   anna with helm   user \"anna\" may not delete jobs
waits      batch       nightly   1          0          90 s ago   90 s ago   anna with helm   until it has finished: image: a:1 -> a:2
replaced   batch       nightly   1          1          90 s ago   90 s ago   anna with helm   image: a:1 -> a:2

1 Job, 3 requests and 1 dry run: 1 would have been refused, 1 would have waited, 2 would have replaced a Job
not known: 2 lines
";
        assert_eq!(text(ReportSource::Audit, &sum(), &unknown, now), expected);
        let events = text(ReportSource::Events, &sum(), &[], now);
        assert!(events.contains("CHANGES") && !events.contains("DRY RUNS"), "{events}");
        assert!(events.contains("1 Job, 3 changes: 1 would have been refused"), "{events}");
    }

    #[test]
    fn where_nothing_was_reported_it_says_where_to_look() {
        for source in [ReportSource::Events, ReportSource::Audit] {
            let text = text(source, &Sum::default(), &[], Timestamp::UNIX_EPOCH);
            assert!(text.starts_with("nothing was "), "{text}");
            assert!(text.contains("rejob status --all-namespaces"), "{text}");
        }
    }
}
