//! What the process itself uses, under the names that every Prometheus exporter has.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

use super::catalogue::{CPU, RESIDENT_MEMORY, START_TIME};

/// The kernel's clock ticks a second in `/proc/<pid>/stat`: 100 on every Linux that runs Kubernetes
/// (`USER_HZ`, see `man 5 proc_pid_stat`).
const TICKS_A_SECOND: f64 = 100.0;

/// Reads `/proc/self` at each scrape; what cannot be read is left out.
#[derive(Debug)]
pub(super) struct Process {
    started: i64,
}

impl Process {
    pub(super) fn started_now() -> Self {
        Self { started: jiff::Timestamp::now().as_second() }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let mut one = |name: &str, help: &str, unit: &Unit, metric: &dyn EncodeMetric| {
            let encoder =
                encoder.encode_descriptor(name, help, Some(unit), metric.metric_type())?;
            metric.encode(encoder)
        };
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        if let Some(bytes) = resident_bytes(&status) {
            let metric = ConstGauge::new(bytes);
            one("process_resident_memory", RESIDENT_MEMORY.help, &Unit::Bytes, &metric)?;
        }
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        if let Some(seconds) = cpu_seconds(&stat) {
            one("process_cpu", CPU.help, &Unit::Seconds, &ConstCounter::new(seconds))?;
        }
        let metric = ConstGauge::new(self.started);
        one("process_start_time", START_TIME.help, &Unit::Seconds, &metric)
    }
}

/// `VmRSS` of `/proc/<pid>/status`, which is in KiB.
fn resident_bytes(status: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<i64>().ok()? * 1024)
}

/// `utime` plus `stime` of `/proc/<pid>/stat`: the 12th and 13th word after the command's name,
/// which stands in parentheses and may contain anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut words = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || words.next()?.parse::<u32>().ok();
    Some((f64::from(ticks()?) + f64::from(ticks()?)) / TICKS_A_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_are_read_as_the_kernel_writes_them() {
        assert_eq!(
            resident_bytes("Name:\tx\nVmRSS:\t    1234 kB\nRssAnon:\t 1 kB\n"),
            Some(1_263_616)
        );
        assert_eq!(resident_bytes(""), None);
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 3 0 9 1 1";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds("7 (a"), None);
    }
}
