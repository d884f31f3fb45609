//! What the figures mean and how they came about: the report's caveats, and the answers to what a
//! suspicious reader asks.
//!
//! Owns sentences. What they state is done elsewhere, and is looked up there where it is a number.

use super::dropping::{REPEATS_MAX, STEAL_MAX};
use super::results::{CellResult, Report, TAIL_SETTLED_BELOW};
use super::tails::SAMPLES_ABOVE_MIN;
use super::turns::Turns;
use super::window::Wait;
use crate::rig::bootstrap::{RESAMPLES, coverage_at_worst};

/// Said wherever figures against such a memcached stand.
pub(crate) const SENDS_GETS_SINGLY: &str = "THIS MEMCACHED IS OLDER THAN 1.6.35 AND FLATTERS ALL \
    OTHERS IN EVERY CELL WITH PIPELINED GETS: it sends each answer to a bare get with a system call \
    of its own (15,001 sendmsg for 15,000 pipelined gets, 901 since 1.6.35). No figure of this run \
    holds against a current memcached; --help says how to build one";

/// What a reader has to know beside the figures.
pub(crate) fn caveats(turns: &Turns) -> Vec<String> {
    let mut caveats = vec![
        format!(
            "Figures are medians over all windows. Intervals are 95 % percentile intervals of a \
             hierarchical bootstrap, {RESAMPLES} resamples, seeded: server instances are drawn first, \
             then windows within each; percentiles are expanded for few instances (Hesterberg 2015). \
             Ratios are taken round by round first. With n instances that differ more than their \
             windows do, such an interval holds the truth with 1 - 2^(1-n): {}. Where instances do not \
             differ it is wider than it had to be: in simulations 99 % with 5 instances of 3 windows.",
            [3, 5, 8].map(|n| format!("{:.0} % of {n}", 100.0 * coverage_at_worst(n))).join(", ")
        ),
        "\"No difference\" means: the ratio is no further from 1 than the interval of two identical \
         memcacheds against each other (A/A), or its own interval holds 1. The percentage beside it is \
         the smallest detectable effect: the larger of the A/A spread and the half-width of the \
         ratio's own interval. A smaller difference may exist and would not have been seen."
            .to_string(),
        format!(
            "p99.9 is that of all windows together, not a median over windows, and is decided only \
             with {SAMPLES_ABOVE_MIN} requests above it; its interval resamples instances and whole \
             windows. Cells about p99.9 have windows long enough for that, and are measured once more \
             on as many new instances if there is neither a difference nor a smallest detectable \
             effect below {:.0} %. That second look raises the chance of a false difference there \
             from 5 % to 8 % at most.",
            100.0 * TAIL_SETTLED_BELOW
        ),
        format!(
            "A window is dropped if the hypervisor took more than {:.0} % of either CPU (steal in \
             /proc/stat, counted in ticks of 10 ms, so in a short window by a single tick). It is \
             measured again with other keys, {REPEATS_MAX} times at most; after that the round has no \
             figure. Dropped windows are counted in each cell and kept in the JSON.",
            100.0 * STEAL_MAX
        ),
        "An operation is one key read, stored or changed; a latency is one request's, of a batch \
         counted from its sending, at a fixed rate from the moment it was due. Max is over all rounds."
            .to_string(),
        "Load comes over loopback, from one thread on one other CPU: no network card, no switch, \
         and a shared last-level cache. Other work on the machine shows in the latencies first. \
         memcached with default threads is pinned to the same single CPU as all others."
            .to_string(),
    ];
    if turns.wait == Wait::Spin {
        caveats.push(
            "The generator never sleeps, so that no server pays for waking it up and its own waking \
             is in no latency; clients that sleep see more (--wait block)."
                .to_string(),
        );
    }
    if turns.placement.shares_one_cpu() {
        caveats.push("Only one CPU: servers and generator took it from each other.".to_string());
    }
    caveats
}

/// Windows that were measured again, and rounds without a figure, over some cells.
pub(crate) fn dropped<'a>(cells: impl Iterator<Item = &'a CellResult>) -> (usize, usize) {
    cells
        .flat_map(|cell| &cell.rows)
        .fold((0, 0), |(again, lost), row| (again + row.dropped.len(), lost + row.missing()))
}

/// Questions of a suspicious reader, with the answers for this run.
pub(crate) fn questions(report: &Report) -> Vec<(&'static str, String)> {
    let mut questions = about_the_baseline(report);
    questions.extend(about_the_load(report));
    questions.extend(about_the_statistics(report));
    questions
}

fn about_the_baseline(report: &Report) -> Vec<(&'static str, String)> {
    let memcached = &report.memcached;
    let tuning: Vec<String> = report
        .contestants
        .iter()
        .map(|contestant| format!("{} runs as \"{}\"", contestant.name, contestant.facts))
        .collect();
    vec![
        (
            "Which memcached, and how was it built?",
            format!(
                "{}; {}. The file itself does not name its optimisation level; a config.log is quoted \
                 as what lies beside it. {}",
                memcached.version,
                memcached.build,
                if memcached.sends_gets_singly {
                    SENDS_GETS_SINGLY
                } else {
                    "It collects the answers to pipelined gets before it sends them, as every release \
                     since 1.6.35 does."
                }
            ),
        ),
        (
            "Was it tuned, or is it a straw man?",
            format!(
                "{}. All get the same -m, large enough for the data of the cell, the same -c, and -I \
                 where values need it. Every ratio is shown against memcached as shipped with one \
                 worker and against the tuned one; the verdicts below each cell name both.",
                tuning.join("; ")
            ),
        ),
        (
            "memcached has threads. Why one?",
            "All servers share one CPU by turns, and the question is what one CPU serves. With its \
             default threads it is measured too, on the same CPU; on several CPUs it scales, and \
             miocached would be started several times. That is not measured here."
                .to_string(),
        ),
    ]
}

fn about_the_load(report: &Report) -> Vec<(&'static str, String)> {
    let run = &report.run;
    vec![
        (
            "Why loopback?",
            "The servers' own work is in question. A network card adds the same to all of them, and its \
             interrupts would land on one of two CPUs by chance. So absolute latencies are lower than in \
             a network, and ratios of latencies further from 1. The floor is a server that only \
             receives and sends: what it costs is the kernel's, and no server can save it."
                .to_string(),
        ),
        (
            "Why pinned, and where?",
            format!(
                "So that the scheduler does not decide. Servers run on CPU {}, the generator on CPU {}: \
                 {}. All servers of a data set are loaded and wait in epoll; only one is asked at a time.",
                run.server_cpu, run.generator_cpu, run.cpus
            ),
        ),
        (
            "Coordinated omission?",
            "In a closed loop a slow answer delays the next request, and latencies understate what \
             users would see; those cells are about CPU and throughput. In cells at a fixed rate a \
             request's latency counts from the moment it was due, whether or not it could be sent \
             then, and what was never sent counts as waiting until the end. If the generator itself was \
             late, a note says by how much."
                .to_string(),
        ),
        (
            "Is the generator the bottleneck?",
            "Rows in which it was busy for 95 % of the window say \"generator bound\": then operations a \
             second compare nothing, while CPU per operation still does, which is why it is the measure \
             of most cells."
                .to_string(),
        ),
        (
            "Are the answers right?",
            "Every answer's framing and length is checked, and one in 64 byte by byte. Errors fail the \
             run. Misses are shown as a share of the keys looked up, where there are any."
                .to_string(),
        ),
    ]
}

fn about_the_statistics(report: &Report) -> Vec<(&'static str, String)> {
    let (again, lost) = dropped(report.cells.iter());
    let counts: Vec<String> = report
        .cells
        .iter()
        .filter(|cell| cell.instances != report.run.instances)
        .map(|cell| format!("{} has {}", cell.name, cell.instances))
        .collect();
    vec![
        (
            "What is an instance?",
            format!(
                "One start of a server, with its data loaded anew: addresses, hash seed and the order \
                 of allocations are drawn again. Cells have {} unless said otherwise{}. Rounds on one \
                 instance are not independent of each other, so intervals draw instances first. A \
                 server given by --target is the user's and is not restarted.",
                report.run.instances,
                if counts.is_empty() { String::new() } else { format!(": {}", counts.join(", ")) }
            ),
        ),
        (
            "How is a difference told from noise?",
            "memcached runs twice under two names with the same arguments. What these two show against \
             each other is noise by construction, that of separate starts included; a ratio within it \
             is no difference. The page says in how many cells the A/A interval held 1."
                .to_string(),
        ),
        (
            "Which windows were dropped?",
            format!(
                "Those with more than {:.0} % steal on either CPU, a rule fixed before the run: {again} \
                 were measured again, {lost} rounds have no figure. Nothing else is ever dropped, \
                 neither slow windows nor outliers. Each cell says its own number.",
                100.0 * report.run.steal_bound
            ),
        ),
        (
            "Frequency, interrupts, other guests?",
            format!(
                "Governor: {}; clock source: {}. Each cell says how much of both CPUs went to \
                 interrupts, soft interrupts and other guests. On loopback soft interrupts are the \
                 network stack at work, a part of each server's job. Contestants take turns of a \
                 fraction of a second in changing order, so that slow drifts meet all alike.",
                report.machine.governor, report.machine.clock_source
            ),
        ),
        (
            "Why is there no highest rate under a latency bound?",
            "It was measured once: on machines shared with other guests two identical memcacheds came \
             out up to a factor of 2 apart, because a single pause of the machine decides such a search. \
             The cells at half and at 80 % of memcached's own rate answer the same question."
                .to_string(),
        ),
    ]
}
