//! The page: the report as one HTML file that needs no network, no script and no other file.

use super::contestants::{CONTROL_AGAIN, FLOOR};
use super::method;
use super::plots::{self, Line};
use super::results::{CellResult, Metric, Report, Row};
use super::{table, verdicts};
use crate::rig::failure::Failure;

const STYLE: &str = "body{font:14px/1.4 sans-serif;margin:2em auto;max-width:1500px;padding:0 1em}\
    table{border-collapse:collapse;font-size:12px;margin:.3em 0}td,th{padding:2px 8px;\
    text-align:right;border-bottom:1px solid #ddd;white-space:nowrap}td:first-child,\
    th:first-child,td:last-child,th:last-child{text-align:left}td:last-child{white-space:normal}\
    .plots{display:flex;flex-wrap:wrap;gap:1em}svg{max-width:100%;height:auto}\
    h3{margin:1.6em 0 .2em}p{margin:.2em 0}.wide{overflow-x:auto}\
    .warning{background:#c00;color:#fff;font-weight:bold;padding:.6em}.aside{color:#666}\
    dt{font-weight:bold;margin-top:.5em}dd{margin:0 0 0 1.5em;max-width:75em}";

/// What the lines hold that no table judges.
const ABOUT_PLOTS: &str = "Latencies are those of all kept windows together: they contain the \
    machine's pauses, and near their far end there are few requests. In a closed loop they follow \
    from the throughput, and are judged with one connection only. Where the notes say \"generator \
    bound\", a throughput is the generator's.";

/// The whole page; `comparison` holds the lines of `--baseline`.
pub(crate) fn render(report: &Report, comparison: &[String]) -> Result<String, Failure> {
    let mut page = String::from("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">");
    page.push_str(&format!("<title>miocached versus memcached</title><style>{STYLE}</style>"));
    page.push_str("<h1>miocached versus memcached</h1>");
    for (at, line) in table::head(report).iter().enumerate() {
        let loud = at < table::warnings(report).len();
        let class = if loud { " class=\"warning\"" } else { "" };
        page.push_str(&format!("<p{class}>{}</p>", escaped(line)));
    }
    page.push_str(&paragraph(&verdicts::control_summary(report)));
    for line in comparison {
        page.push_str(&paragraph(line));
    }
    page.push_str("<h2>Method, questioned</h2><dl>");
    for (question, answer) in method::questions(report) {
        page.push_str(&format!("<dt>{}</dt><dd>{}</dd>", escaped(question), escaped(&answer)));
    }
    page.push_str("</dl>");
    page.push_str(&format!("<h2>Plots</h2>{}<div class=\"plots\">", paragraph(ABOUT_PLOTS)));
    for svg in plots(report)? {
        page.push_str(&svg);
    }
    page.push_str("</div><h2>Cells</h2>");
    for cell in &report.cells {
        page.push_str(&block(cell));
    }
    page.push_str("</html>\n");
    Ok(page)
}

fn plots(report: &Report) -> Result<Vec<String>, Failure> {
    let mut all = Vec::new();
    for name in ["baseline", "rate-80-percent", "rate-50-percent", "mixed", "connections-1"] {
        if let Some(cell) = cell_named(report, name) {
            let title = format!("Latency of all rounds together: {name}");
            all.push(plots::distribution(&title, &distributions(cell))?);
        }
    }
    let connections = [
        ("connections-1", 1.0),
        ("baseline", 50.0),
        ("connections-500", 500.0),
        ("connections-2000", 2000.0),
    ];
    let depths = [("baseline", 1.0), ("depth-10", 10.0), ("depth-50", 50.0)];
    for (factor, cells) in [("connections", &connections[..]), ("depth", &depths[..])] {
        let lines = by_factor(report, cells);
        if lines.iter().any(|line| line.points.len() > 1) {
            all.push(plots::throughput(&format!("Throughput by {factor}"), factor, &lines)?);
        }
    }
    let (labels, lines) = against_floor(report);
    if !labels.is_empty() {
        all.push(plots::rows("Server CPU per operation against the floor", &labels, &lines)?);
    }
    Ok(all)
}

/// The second half of the control is left out of all plots: it only measures chance.
fn drawn(row: &&Row) -> bool {
    row.name != CONTROL_AGAIN && !row.rounds.is_empty()
}

fn distributions(cell: &CellResult) -> Vec<Line> {
    let line = |row: &Row| Line {
        name: row.name.clone(),
        points: row.distribution.iter().map(|&(at, ns)| (at, ns as f64 / 1e3)).collect(),
    };
    cell.rows.iter().filter(drawn).map(line).collect()
}

fn by_factor(report: &Report, cells: &[(&str, f64)]) -> Vec<Line> {
    let point = |contestant: &str, (name, factor): (&str, f64)| {
        let row = cell_named(report, name)?.row(contestant)?;
        Some((factor, row.estimate(Metric::Throughput)?.median))
    };
    contestants(report)
        .map(|name| Line {
            points: cells.iter().filter_map(|&cell| point(&name, cell)).collect(),
            name,
        })
        .collect()
}

fn against_floor(report: &Report) -> (Vec<String>, Vec<Line>) {
    // From top to bottom as in the table, on an axis that goes up.
    let cells: Vec<&CellResult> = report
        .cells
        .iter()
        .rev()
        .filter(|cell| cell.ratio(FLOOR, FLOOR, Metric::ServerCpu).is_some())
        .collect();
    let labels = cells.iter().map(|cell| cell.name.clone()).collect();
    let lines = contestants(report)
        .map(|name| Line {
            points: cells
                .iter()
                .enumerate()
                .filter_map(|(at, cell)| {
                    Some((cell.ratio(&name, FLOOR, Metric::ServerCpu)?.median, at as f64))
                })
                .collect(),
            name,
        })
        .collect();
    (labels, lines)
}

fn contestants(report: &Report) -> impl Iterator<Item = String> {
    let names = report.contestants.iter().map(|contestant| contestant.name.clone());
    names.filter(|name| name != CONTROL_AGAIN)
}

fn cell_named<'a>(report: &'a Report, name: &str) -> Option<&'a CellResult> {
    report.cells.iter().find(|cell| cell.name == name)
}

fn block(cell: &CellResult) -> String {
    let row = |tag: &str, texts: &mut dyn Iterator<Item = &str>| {
        let cells: String = texts.map(|text| format!("<{tag}>{}</{tag}>", escaped(text))).collect();
        format!("<tr>{cells}</tr>")
    };
    let mut block = format!("<h3>{}</h3><div class=\"wide\"><table>", escaped(&table::title(cell)));
    block.push_str(&row("th", &mut table::HEADINGS.into_iter()));
    for line in table::lines(cell) {
        block.push_str(&row("td", &mut line.iter().map(String::as_str)));
    }
    block.push_str("</table></div>");
    for verdict in verdicts::verdicts(cell) {
        block.push_str(&paragraph(&verdict));
    }
    block.push_str(&format!("<p class=\"aside\">{}</p>", escaped(&table::circumstances(cell))));
    block
}

fn paragraph(text: &str) -> String {
    format!("<p>{}</p>", escaped(text))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
