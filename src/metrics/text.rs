//! Prometheus' text format, version 0.0.4: families of samples, each family with its help and type.

use std::fmt::{self, Display, Write as _};

use crate::engine::counters::{DURATION_BUCKETS, Durations};

/// The media type of the format.
pub(super) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the values of a family mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A sum that only grows, except at a restart and at `stats reset`.
    Counter,
    Gauge,
}

/// The labels of a sample.
pub(super) type Labels<'l> = &'l [(&'l str, &'l dyn Display)];

/// A text that is being written.
pub(super) struct Text<'o>(pub(super) &'o mut String);

// Writing into memory does not fail.
impl Text<'_> {
    /// A family of one sample without labels.
    pub(super) fn one(&mut self, kind: Kind, name: impl Display, help: &str, value: impl Display) {
        self.family(kind, name, help, &[(&[], &value)]);
    }

    /// A family of samples.
    pub(super) fn family(
        &mut self,
        kind: Kind,
        name: impl Display,
        help: &str,
        samples: &[(Labels<'_>, &dyn Display)],
    ) {
        self.begin(&name, help, if kind == Kind::Counter { "counter" } else { "gauge" });
        for (labels, value) in samples {
            let _ = writeln!(self.0, "{name}{} {value}", Braces(labels));
        }
    }

    /// A histogram. In a bucket are the durations up to its bound.
    pub(super) fn histogram(&mut self, name: &str, help: &str, durations: &Durations) {
        self.begin(&name, help, "histogram");
        let mut below = 0;
        for (power, bucket) in durations.buckets.iter().enumerate() {
            below += bucket;
            let bound = Seconds(1000 << power);
            let bound: &dyn Display = if power == DURATION_BUCKETS - 1 { &"+Inf" } else { &bound };
            let _ = writeln!(self.0, "{name}_bucket{} {below}", Braces(&[("le", bound)]));
        }
        let (sum, count) = (Seconds(durations.sum_ns), durations.count);
        let _ = writeln!(self.0, "{name}_sum {sum}\n{name}_count {count}");
    }

    fn begin(&mut self, name: &dyn Display, help: &str, kind: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }
}

/// Nanoseconds, shown as seconds.
pub(super) struct Seconds(pub(super) u64);

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, ns) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        match ns {
            0 => write!(f, "{seconds}"),
            _ if ns % 1000 == 0 => write!(f, "{seconds}.{:06}", ns / 1000),
            _ => write!(f, "{seconds}.{ns:09}"),
        }
    }
}

/// Labels in braces, or nothing where there are none.
struct Braces<'l>(Labels<'l>);

impl Display for Braces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            write!(f, "{before}{name}=\"{value}\"")?;
        }
        f.write_str(if self.0.is_empty() { "" } else { "}" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_have_their_help_and_type() {
        let mut text = String::new();
        let mut to = Text(&mut text);
        to.one(Kind::Gauge, "a", "An a.", 7);
        let samples: [(Labels<'_>, &dyn Display); 2] =
            [(&[("x", &"1"), ("y", &2)], &3), (&[("x", &"2")], &Seconds(1_500_000_000))];
        to.family(Kind::Counter, "b_total", "All b.", &samples);
        assert_eq!(
            text,
            "# HELP a An a.\n# TYPE a gauge\na 7\n\
             # HELP b_total All b.\n# TYPE b_total counter\n\
             b_total{x=\"1\",y=\"2\"} 3\nb_total{x=\"2\"} 1.500000\n"
        );
    }

    #[test]
    fn buckets_are_cumulative() {
        let mut text = String::new();
        let mut durations = Durations::default();
        for (ns, count) in [(500, 3), (3_000, 2), (u64::MAX / 8, 1)] {
            durations.add(ns, count);
        }
        Text(&mut text).histogram("d_seconds", "A d.", &durations);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[1..5],
            [
                "# TYPE d_seconds histogram",
                "d_seconds_bucket{le=\"0.000001\"} 3",
                "d_seconds_bucket{le=\"0.000002\"} 3",
                "d_seconds_bucket{le=\"0.000004\"} 5",
            ]
        );
        assert_eq!(lines.len(), 2 + DURATION_BUCKETS + 2);
        assert_eq!(
            lines[lines.len() - 4..],
            [
                "d_seconds_bucket{le=\"4.194304\"} 5",
                "d_seconds_bucket{le=\"+Inf\"} 6",
                "d_seconds_sum 2305843009.213701451",
                "d_seconds_count 6",
            ]
        );
    }
}
