//! What the figures mean and how they came about: the report's caveats, and the answers to what a
//! suspicious reader asks.
//!
//! Owns sentences. What they state is done elsewhere, and is looked up there where it is a number.

use super::contestants::MIOCACHED;
use super::dropping::{REPEATS_MAX, STEAL_MAX};
use super::results::{CellResult, Report, TAIL_SETTLED_BELOW};
use super::tails::{BLOCK_SAMPLES_ABOVE, SAMPLES_ABOVE_MIN};
use super::turns::Turns;
use super::verdicts;
use super::window::Wait;
use crate::rig::bootstrap::{RESAMPLES, coverage_at_worst};
use crate::rig::server::POGOCACHE;

/// Said wherever figures against such a memcached stand.
pub(crate) const SENDS_GETS_SINGLY: &str = "THIS MEMCACHED IS OLDER THAN 1.6.35 AND MAKES ALL OTHER \
    SERVERS LOOK BETTER IN EVERY CELL WITH PIPELINED GETS: it sends each answer to a bare get with a \
    system call of its own (15,001 sendmsg for 15,000 pipelined gets, 901 since 1.6.35). No figure of \
    this run holds against a current memcached; --help says how to build one";

/// Said where the version of what stands for memcached cannot be read.
pub(crate) const RELEASE_UNKNOWN: &str = "VERSION UNKNOWN: cannot say whether this memcached is older \
    than 1.6.35. One that is older sends each answer to a bare get with a system call of its own, and \
    makes all other servers look better in every cell with pipelined gets; --help says how to build a \
    current one";

/// What a reader has to know beside the figures.
pub(crate) fn caveats(turns: &Turns) -> Vec<String> {
    let mut caveats = about_the_intervals();
    caveats.extend([
        "An operation is one key read, stored or changed. A latency is that of one request: it \
         counts from the moment when its batch was sent, at a fixed rate from the moment when the \
         request was due. Max is the largest latency in any window that was kept."
            .to_string(),
        "A column \"÷ X\" holds the row's figure divided by that of X, of the quantity that the \
         cell's title names: below 1 the row has less of it. RSS and evictions are those of the \
         last instance at the end of the cell; misses, refills and refused sets are counted over \
         all instances, warm-ups and dropped windows included."
            .to_string(),
        "Load comes over loopback, from one thread on one other CPU: no network card, no switch, \
         and a shared last-level cache. Other processes affect latency more than CPU time. \
         memcached with default threads is pinned to the same single CPU as all others."
            .to_string(),
    ]);
    if turns.wait == Wait::Spin {
        caveats.push(
            "The generator never sleeps: no server pays for waking it up, and latencies do not \
             include the client's wake-up; clients that sleep see more (--wait block)."
                .to_string(),
        );
    }
    if turns.placement.shares_one_cpu() {
        caveats.push("Only one CPU: servers and generator took it from each other.".to_string());
    }
    caveats
}

fn about_the_intervals() -> Vec<String> {
    let coverage = |instances| format!("{:.0} %", 100.0 * coverage_at_worst(instances));
    vec![
        format!(
            "Figures are medians over all windows. Intervals are 95 % percentile intervals of a \
             hierarchical bootstrap, {RESAMPLES} resamples, seeded: server instances are drawn \
             first, then windows within each; percentiles are expanded for few instances \
             (Hesterberg 2015). Ratios are taken round by round first. Where instances differ \
             more than their windows do, the interval has {} coverage with 3 instances, {} with \
             5. Where they do not differ it is wider than necessary: 99 % coverage in simulations \
             with 5 instances of 3 windows.",
            coverage(3),
            coverage(5)
        ),
        "\"No difference\" means: the ratio is within the A/A spread (the interval of two \
         identical memcacheds against each other), or its 95 % interval contains 1. The \
         percentage beside it is the smallest detectable effect: the larger of the A/A spread and \
         the half-width of the ratio's own interval. That is the effect that would be detected \
         with 50 % power; 80 % needs 1.4 times as much. A smaller difference may exist. Distances \
         are factors: a half is as far from 1 as a double, 100 %."
            .to_string(),
        format!(
            "p99.9 is the median over blocks of consecutive windows. A block has at least \
             {BLOCK_SAMPLES_ABOVE} requests above its p99.9 and no more windows than that takes, \
             mostly one. With fewer than {SAMPLES_ABOVE_MIN} requests above p99.9 in all blocks \
             together it cannot be decided. Ratios are taken block by block, over the same rounds, \
             and resampled by instance, then by block. Cells about p99.9 have windows of 4/15 of \
             the others' length, and 6 to 30 times as many, as the rate demands. They are measured \
             once more on as many new instances if the interval of miocached to memcached-A \
             contains 1 and the smallest detectable effect is not below {:.0} %. Looking twice \
             raises the chance of a false difference there from 5 % to 8 % at most.",
            100.0 * TAIL_SETTLED_BELOW
        ),
        format!(
            "A window is dropped if the hypervisor took more than {:.0} % of either CPU, in cells \
             about p99.9 if it took any. This is the steal in /proc/stat, warm-up included; it is \
             counted in ticks of 10 ms, so a single tick drops any window of less than a second. \
             A dropped window is repeated with other keys, {REPEATS_MAX} times at most; after that \
             the round is without result. Dropped windows are counted in each cell and kept in the \
             JSON.",
            100.0 * STEAL_MAX
        ),
    ]
}

/// Windows that were repeated, and rounds without result, over some cells.
pub(crate) fn dropped<'a>(cells: impl Iterator<Item = &'a CellResult>) -> (usize, usize) {
    cells.flat_map(|cell| &cell.rows).fold((0, 0), |(repeated, missing), row| {
        (repeated + row.dropped.len(), missing + row.missing())
    })
}

/// Questions of a suspicious reader, with the answers for this run.
pub(crate) fn questions(report: &Report) -> Vec<(&'static str, String)> {
    let mut questions = about_the_servers(report);
    questions.extend(about_the_load(report));
    questions.extend(about_the_generator());
    questions.extend(about_the_cells());
    questions.extend(about_the_tails(report));
    questions.extend(about_the_machine(report));
    questions.extend(about_the_statistics(report));
    questions
}

fn about_the_servers(report: &Report) -> Vec<(&'static str, String)> {
    let memcached = &report.memcached;
    let tuning: Vec<String> = report
        .contestants
        .iter()
        .map(|contestant| format!("{} runs as \"{}\"", contestant.name, contestant.facts))
        .collect();
    let gets = if memcached.sends_gets_singly {
        SENDS_GETS_SINGLY
    } else if memcached.warnings.iter().any(|warning| warning == RELEASE_UNKNOWN) {
        RELEASE_UNKNOWN
    } else {
        "It collects the answers to pipelined gets before it sends them, as every release since \
         1.6.35 does."
    };
    vec![
        (
            "Which memcached, and how was it built?",
            format!(
                "{}; {}. The file itself does not name its optimisation level; the configure line \
                 is from config.log in the binary's directory. {gets}",
                memcached.version, memcached.build
            ),
        ),
        ("How were miocached and pogocache built?", builds(report)),
        (
            "Is memcached tuned?",
            format!(
                "{}. All get the same -m, large enough for the data except in the cells that \
                 evict, the same -c, and -I where values need it. Every ratio is shown against \
                 memcached as shipped with one worker and against the tuned one; the verdicts \
                 below each cell name both. Where requests are pipelined, -R makes most of the \
                 difference between these two: as shipped, memcached turns to other connections \
                 after some 20 requests of a batch, miocached after a buffer of 16 KiB.",
                tuning.join("; ")
            ),
        ),
        (
            "memcached has threads. Why one?",
            "All servers are measured one after another on the same CPU, and the question is what \
             one CPU serves. With its default threads memcached is measured too, on the same CPU; \
             on several CPUs it scales, and miocached would be started several times. That is not \
             measured here."
                .to_string(),
        ),
        (
            "How full is the memory?",
            "About half, a fifth in keys-100k-* and increments-depth-50, all of it in the eviction \
             cells. A log-structured store overwrites cheaply in memory that is not full; only the \
             eviction cells show its cost when full. Equal -m is not equal RSS: as items are \
             replaced and deleted, miocached can come to use all of -m even where half would do, \
             and memcached uses freed memory again; see that column."
                .to_string(),
        ),
    ]
}

fn builds(report: &Report) -> String {
    let build = |name: &str| {
        let known = report.contestants.iter().find(|contestant| contestant.name == name);
        known.map(|contestant| format!("{name}: {}; {}. ", contestant.facts, contestant.build))
    };
    let pogocache = build(POGOCACHE.trim_end()).map_or_else(String::new, |text| {
        format!(
            "{text}pogocache waits by io_uring where its build and the kernel have it. It takes \
             part only in closed-loop cells with gets and sets in the classic dialect on the data \
             of the baseline: not at fixed rates, with other data or where items are evicted. "
        )
    });
    format!(
        "{}Cargo's release profile for miocached is opt-level 3, fat LTO, one codegen unit and no \
         target-cpu, unless MIOCACHED names another binary or RUSTFLAGS says otherwise. \
         {pogocache}",
        build(MIOCACHED).unwrap_or_default()
    )
}

fn about_the_load(report: &Report) -> Vec<(&'static str, String)> {
    let run = &report.run;
    vec![
        (
            "Why loopback?",
            "The servers' own work is in question. A network card adds the same to all of them, \
             and its interrupts would land on one of two CPUs by chance. So absolute latencies \
             are lower than in a network, and ratios of latencies further from 1. The floor is a \
             server that only receives and sends, with epoll, one read and one write per batch: \
             what it costs is mostly the kernel's. A server that makes fewer system calls, as by \
             io_uring, can cost less."
                .to_string(),
        ),
        (
            "Why pinned, and where?",
            format!(
                "So that the scheduler does not decide. Servers run on CPU {}, the generator on \
                 CPU {}: {}. A hypervisor may hide that two CPUs share a core.",
                run.server_cpu, run.generator_cpu, run.cpus
            ),
        ),
        (
            "Do idle servers disturb the one that is measured?",
            format!(
                "All servers of a data set are loaded; outside its turn each is stopped by \
                 SIGSTOP, and it is continued before its warm-up, so its timers and background \
                 threads take no CPU time from another one's window. A server that was stopped \
                 sees time jump, so periodic work that has become due, such as memcached's LRU \
                 crawler, runs in its own turn. This overstates such work: it comes by the clock, \
                 but the server runs only in its turns, one of up to {} contestants at a time. And \
                 as the order of cells is fixed, it can fall into the same cell on each instance. \
                 memcached-tuned has neither crawler nor LRU maintainer except in the cells that \
                 evict: what holds against it does not come from that. A server given by --target \
                 is not stopped.",
                report.contestants.len()
            ),
        ),
        (
            "Does a spinning client favour anyone?",
            "A client on the same machine usually sleeps, and the server pays for waking it. That \
             cost is common to all servers and brings ratios nearer to 1; --wait block measures \
             it."
            .to_string(),
        ),
    ]
}

fn about_the_generator() -> Vec<(&'static str, String)> {
    vec![
        (
            "Coordinated omission?",
            "In a closed loop a slow answer delays the next request, and latencies understate \
             what users would see; those cells are about CPU and throughput, and their latencies \
             are judged with one connection only, as a round trip. In cells at a fixed rate a request's latency counts from the moment \
             it was due, whether or not it could be sent then, and what was never sent counts as \
             waiting until the end. If the generator itself was more than 50 us late at the \
             percentile of the cell (p99.9 in the cells about it), a note says by how much."
                .to_string(),
        ),
        (
            "Is the generator the bottleneck?",
            "Rows in which it was busy for 95 % of the window say \"generator bound\": then \
             operations a second and latencies cannot be compared, and the verdicts leave them \
             out. CPU per operation still can, but the faster server then runs at part load, \
             where batches of events are smaller and an operation costs more. The floor is \
             generator bound in most cells, so \"÷ floor\" is too small there."
                .to_string(),
        ),
        (
            "Are the answers right?",
            "Every answer's framing and length is checked, and one value in 64 byte by byte. \
             Errors fail the run. A set that is refused for want of memory is counted apart (see \
             the notes); it is an operation, though it costs less, and fails the run if miocached \
             refuses it. In deletes-depth-50 two connections may delete the same key before either \
             sets it again. The second one gets NOT_FOUND if the server serves it within the \
             other's batch; that is no loss of data."
                .to_string(),
        ),
        (
            "What do shares of misses compare?",
            "In each round all contestants are asked the same sequence of keys from its beginning, \
             but a faster one is asked for more of it. The shares have no interval; memcached-A \
             and memcached-B show what chance does. Where they matter, cargo bench --bench replay \
             counts the misses of equally many requests."
                .to_string(),
        ),
    ]
}

fn about_the_cells() -> Vec<(&'static str, String)> {
    vec![
        (
            "Why so many pipelined cells?",
            "At depth 1 most of a server's CPU time is the kernel's, so those cells differ less; \
             they are all whose description says neither \"at a time\" nor \"of 50 keys\". No \
             average over cells is formed: the choice of cells would decide it."
                .to_string(),
        ),
        (
            "In which order are cells measured?",
            "In the same order, begun at another cell on each instance, on the same servers where \
             the data is the same; later ones find a store that has already been written to. \
             Within a cell the contestants' order is random in each round, from a fixed seed."
                .to_string(),
        ),
        (
            "What does CPU per operation contain?",
            "User and system time of all threads of the server between the window's edges. Soft \
             interrupts count for the task that they interrupt where the kernel has no \
             IRQ_TIME_ACCOUNTING. Steal that the hypervisor reports is not included."
                .to_string(),
        ),
        (
            "Which rate is the fixed rate?",
            "A part of the rate at which memcached-A's CPU would be fully busy. That is found anew \
             on each instance, just before the cell: memcached-A is loaded at half of its \
             closed-loop throughput, arriving at random, and a second divided by its CPU time per \
             operation there is what its CPU allows. All contestants of an instance get the same \
             rate; one that takes less CPU time per operation is less busy at it, and answers \
             sooner for that reason alone. A note says how busy each server's CPU was. The \
             closed-loop throughput itself is no measure of what a CPU allows: under it requests \
             come in bursts, which cost less each, and the machine's speed changes. 80 % of it \
             once kept memcached-A's CPU busy for 99 % of the time. In mixed the rate is 10,000 a \
             second; the large values come as fast as they are answered, so a server that serves \
             fewer of them (see the notes) has more time for small gets."
                .to_string(),
        ),
        (
            "What expires in the eviction cells?",
            "Nothing, except in evictions-and-ttls: there each window warms up for 2.5 s, which is \
             longer than the lifetime of 2 s, so items expire and are stored again at an even rate \
             while it measures. The contestant's previous window does not matter."
                .to_string(),
        ),
        (
            "Why is there no highest rate under a latency bound?",
            "It was measured once: on machines shared with other guests two identical memcacheds \
             came out up to a factor of 2 apart, because a single pause of the machine decides \
             such a search. The cells at half and at 80 % of what memcached's CPU allows compare \
             latencies at two rates instead."
                .to_string(),
        ),
    ]
}

fn about_the_tails(report: &Report) -> Vec<(&'static str, String)> {
    vec![
        (
            "Why is p99.9 a median over blocks?",
            "The machine pauses now and then, mostly for about a millisecond, sometimes for much \
             longer, and such pauses put more requests above the p99.9 of all windows together \
             than everything else. The floor, which does nothing but read and write, has them too; \
             see its notes. A block is short, so most blocks have no pause, and the median over \
             blocks is the p99.9 between pauses. What a server itself does in less than half of \
             its blocks is not in this figure. Compare the contestants' notes for that: the p99.9 \
             that one block in twenty exceeds and that of all windows together contain it, and so \
             does the maximum. A server that is busy nearly all the time multiplies the machine's \
             pauses, for it takes long to catch up."
                .to_string(),
        ),
        (
            "At which priority do servers and generator run?",
            format!(
                "In cells about p99.9: {}; in all others the ordinary one. At real-time priority \
                 no ordinary task can interrupt a window. Of a server with threads that are named \
                 workers only these are raised: memcached's background threads then wait for its \
                 worker, which is the best case for its latencies. The generator rests between \
                 windows, so that the kernel's bound on real-time tasks (95 % of a second) never \
                 stops it. A server given by --target keeps its priority.",
                report.run.priority
            ),
        ),
    ]
}

fn about_the_machine(report: &Report) -> Vec<(&'static str, String)> {
    let machine = &report.machine;
    let rounds = report.cells.iter().flat_map(|cell| &cell.rows).flat_map(|row| &row.rounds);
    let gap = rounds.filter_map(|round| round.longest_gap_ns).max().map_or_else(
        || "is not known, for it slept".to_string(),
        |ns| format!("was {:.1} ms", ns as f64 / 1e6),
    );
    vec![
        (
            "Frequency, interrupts, other guests?",
            format!(
                "Governor: {}; clock source: {}. Each cell says how much of both CPUs went to \
                 interrupts, soft interrupts and other guests. On loopback soft interrupts are the \
                 network stack at work, a part of each server's job. Contestants take turns of a \
                 fraction of a second (of seconds in evictions-and-ttls) in random order, so that \
                 slow drift affects all contestants equally. A hypervisor may not report steal; \
                 the longest gap of an idle generator within a window {gap}.",
                machine.governor, machine.clock_source
            ),
        ),
        (
            "What does a system call cost here?",
            format!(
                "It depends on the mitigations of CPU vulnerabilities: {}. Where calls are \
                 dearer, a server that makes fewer gains more.",
                machine.mitigations
            ),
        ),
        (
            "Huge pages?",
            format!(
                "Transparent huge pages: {} (the one in brackets holds). No server asks for them \
                 by default.",
                machine.huge_pages
            ),
        ),
    ]
}

fn about_the_statistics(report: &Report) -> Vec<(&'static str, String)> {
    let (repeated, missing) = dropped(report.cells.iter());
    let counts: Vec<String> = report
        .cells
        .iter()
        .filter(|cell| cell.instances != report.run.instances)
        .map(|cell| format!("{} has {}", cell.name, cell.instances))
        .collect();
    let verdicts: usize =
        report.cells.iter().map(|cell| verdicts::judged_comparisons(cell).count()).sum();
    vec![
        (
            "What is an instance?",
            format!(
                "One start of a server, with its data loaded anew: addresses and the order of \
                 allocations are drawn again, and miocached's hash seed. memcached has no hash \
                 seed per process, so A/A contains no seed variance. Cells have {} unless said \
                 otherwise{}. Rounds on one instance are not independent of each other, so \
                 intervals draw instances first. A server given by --target is the user's and is \
                 not restarted.",
                report.run.instances,
                if counts.is_empty() { String::new() } else { format!(": {}", counts.join(", ")) }
            ),
        ),
        (
            "How is a difference distinguished from noise?",
            "memcached runs twice under two names with the same arguments. What these two show \
             against each other is noise by construction, that of separate starts included; a \
             ratio within it is no difference. The page says in how many cells the A/A interval of \
             the cell's own quantity contained 1. A verdict on any quantity whose A/A interval \
             does not contain 1 is marked \"control failed\"."
                .to_string(),
        ),
        (
            "How many verdicts, corrected?",
            format!(
                "{verdicts}, uncorrected for their number; a difference must also exceed the A/A \
                 spread. Cells of one data set share instances, so an unlucky instance shows in \
                 all of them. In a closed loop CPU per operation and operations a second are \
                 mostly one finding, for the server's CPU is fully busy; at a fixed rate \
                 operations a second say only whether a server kept up."
            ),
        ),
        (
            "Which windows were dropped?",
            format!(
                "Those with more than {:.0} % steal on either CPU, in cells about p99.9 those \
                 with any, a rule fixed before the run: {repeated} were repeated, {missing} \
                 rounds are without result. Nothing else is ever dropped, neither slow windows \
                 nor outliers. Each cell says its own number.",
                100.0 * report.run.steal_bound
            ),
        ),
    ]
}
