//! The table of instruction counts: read as it is written, and strict where CI relies on it.

use crate::counts::table::{Row, Table, Verdict};

fn row(name: &str, count: u64, unit: &str) -> Row {
    Row { name: name.to_string(), count, unit: unit.to_string() }
}

#[test]
fn the_table_is_read_as_it_is_written() {
    let rows = vec![row("get", 1771, "pipelined get"), row("set", 90, "pipelined set, too")];
    let table = Table { tools: "rustc 1.95.0, x86_64".to_string(), rows };
    assert_eq!(Table::parse(&table.text()).unwrap(), table);
    assert_eq!(table.count("set").unwrap(), 90);
    assert!(table.count("touch").is_err());
    assert!(Table::parse("get many pipelined get").is_err());
    assert!(Table::parse("get").is_err());
}

#[test]
fn the_table_in_the_repository_is_in_its_own_format() {
    let text = include_str!("../../benches/counts/table.txt");
    assert_eq!(Table::parse(text).unwrap().text(), text, "edited by hand? --update writes it");
}

#[test]
fn a_count_may_differ_by_three_percent() {
    for (now, verdict) in [
        (1030, Verdict::Within),
        (1031, Verdict::Above),
        (970, Verdict::Within),
        (969, Verdict::Below),
    ] {
        assert_eq!(Verdict::of(1000, now), verdict, "{now}");
    }
}
