//! The recipes for Prometheus and Grafana: promtool checks them, and the server exports what they ask for.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::file;
use crate::clients::has;
use crate::harness::process::{PATIENCE, Server, until};

fn dashboard() -> Value {
    let text = fs::read_to_string(file("recipes/grafana.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn panels(dashboard: &Value) -> Vec<&Value> {
    dashboard["panels"].as_array().unwrap().iter().collect()
}

/// The queries of the dashboard, with a period and a server in place of Grafana's variables.
fn queries(dashboard: &Value) -> Vec<String> {
    let targets =
        panels(dashboard).into_iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let queries = targets.map(|target| target["expr"].as_str().unwrap());
    queries
        .map(|query| query.replace("$__rate_interval", "5m").replace("$instance", ".*"))
        .collect()
}

/// The metrics that a text names.
fn metrics(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    text.split(|c| !is_name(c))
        .filter(|word| word.starts_with("memcached_") || word.starts_with("miocached_"))
        .map(ToString::to_string)
        .collect()
}

/// Runs promtool in a folder, and fails with its output.
fn promtool(folder: &Path, arguments: &[&str]) {
    let checked = Command::new("promtool").args(arguments).current_dir(folder).output().unwrap();
    let why = String::from_utf8_lossy(&checked.stderr);
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{arguments:?}: {said}{why}");
}

#[test]
fn prometheus_reads_the_configuration_and_the_rules() {
    if !has("promtool") {
        return;
    }
    promtool(&file("recipes"), &["check", "config", "prometheus.yml"]);
    promtool(&file("recipes"), &["check", "rules", "alerts.yml"]);
    // What makes each alert fire, and what does not.
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/packaging");
    promtool(&tests, &["test", "rules", "alerts.yml"]);
}

#[test]
fn prometheus_reads_the_queries_of_the_dashboard() {
    if !has("promtool") {
        return;
    }
    let queries = queries(&dashboard());
    let rules: Vec<Value> = (0..)
        .zip(&queries)
        .map(|(at, query)| serde_json::json!({ "record": format!("query{at}"), "expr": query }))
        .collect();
    let rules = serde_json::json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
    let folder = tempfile::tempdir().unwrap();
    // JSON is YAML, too.
    fs::write(folder.path().join("queries.yml"), rules.to_string()).unwrap();
    promtool(folder.path(), &["check", "rules", "queries.yml"]);
}

#[test]
fn the_panels_of_the_dashboard_fit_and_do_not_overlap() {
    let dashboard = dashboard();
    let panels = panels(&dashboard);
    assert!(panels.len() > 10);
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in panels {
        let at = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        let (left, top) = (at("x"), at("y"));
        assert!(left + at("w") <= 24, "{}", panel["title"]);
        for x in left..left + at("w") {
            for y in top..top + at("h") {
                assert!(taken.insert((x, y)), "{} covers another panel", panel["title"]);
            }
        }
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels have one id");
        for field in ["title", "description", "type"] {
            assert!(!panel[field].as_str().unwrap().is_empty());
        }
    }
}

/// What the server exports: the names of the samples.
fn exported(server: &Server) -> BTreeSet<String> {
    let begin = "metrics at http://";
    let log = || server.said.join("\n") + &server.log();
    until("the address is logged", PATIENCE, || log().contains(begin));
    let log = log();
    let address = log.split_once(begin).unwrap().1.split('/').next().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let samples = answer.lines().filter(|line| !line.starts_with('#'));
    samples.flat_map(metrics).collect()
}

#[test]
fn the_server_exports_what_dashboard_and_rules_ask_for() {
    let server = Server::start(&["-p", "0", "--metrics", "127.0.0.1:0"]);
    let exported = exported(&server);
    let rules = fs::read_to_string(file("recipes/alerts.yml")).unwrap();
    // Comments and recorded names are no metrics.
    let rules: Vec<&str> = rules.lines().filter(|line| !line.trim().starts_with('#')).collect();
    let asked = queries(&dashboard()).join("\n") + &rules.join("\n");
    let asked = metrics(&asked);
    assert!(asked.len() > 15, "{asked:?}");
    let missing: Vec<&String> = asked.difference(&exported).collect();
    assert!(missing.is_empty(), "{missing:?} are not among {exported:?}");
}
