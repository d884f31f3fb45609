//! The argument vectors with which charts, containers and packages start memcached, as they are.
//!
//! Only what a test must change is changed: the port, which has to be free, and the folder of the pid
//! file. All of them run without root's rights, as in those containers.

use super::daemon::start_unprivileged;
use super::options::assert_refused;

/// Where a vector comes from, the vector, and what the server's limits then are.
const VECTORS: [(&str, &[&str], &str); 11] = [
    // docker-library/memcached, docker-entrypoint.sh: options alone are memcached's.
    ("the official image", &[], "items 64 MiB, one item 1024 KiB"),
    ("the official image in a compose file", &["-m", "128"], "items 128 MiB, one item 1024 KiB"),
    ("another one", &["-m", "64", "-I", "1m"], "items 64 MiB, one item 1024 KiB"),
    ("one without evictions", &["-M", "-m", "1024"], "items 1024 MiB, one item 1024 KiB"),
    // bitnami/containers, bitnami/memcached/1/debian-12/.../memcached/run.sh, as bitnami/charts starts
    // it, and with all of its variables set.
    (
        "bitnami's image",
        &["-u", "memcached", "-p", "11211", "-v", "-m", "64"],
        "items 64 MiB, one item 1024 KiB",
    ),
    (
        "bitnami's image with settings",
        &[
            "-u",
            "memcached",
            "-p",
            "11211",
            "-v",
            "-l",
            "0.0.0.0",
            "-m",
            "128",
            "-c",
            "512",
            "-t",
            "4",
            "-I",
            "2m",
            "--disable-evictions",
        ],
        "items 128 MiB, one item 2048 KiB",
    ),
    // grafana/loki, production/helm/loki/templates/memcached/_memcached-statefulset.tpl, with the
    // memory of its results cache. YAML makes one argument of an option and its value.
    (
        "Loki's chart",
        &["-m 1024", "--extended=modern,track_sizes", "-I 5m", "-c 16384", "-v", "-u 11211"],
        "items 1024 MiB, one item 5120 KiB",
    ),
    // grafana/mimir, operations/helm/charts/mimir-distributed/templates/memcached/.
    (
        "Mimir's chart",
        &["-m 512", "--extended=modern", "-I 5m", "-c 16384", "-v", "-u 11211"],
        "items 512 MiB, one item 5120 KiB",
    ),
    // jfelten/gitea-helm-chart, templates/memcached/_container.tpl and values.yaml.
    ("Gitea's chart", &["-m 64", "-o", "modern", "-v"], "items 64 MiB, one item 1024 KiB"),
    // Debian's memcached.conf, as its systemd-memcached-wrapper joins the lines.
    (
        "Debian's package",
        &["-m", "64", "-p", "11211", "-u", "memcache", "-l", "127.0.0.1", "-P", "PID"],
        "items 64 MiB, one item 1024 KiB",
    ),
    // memcached/memcached, scripts/memcached.service and memcached.sysconfig.
    (
        "memcached's own unit",
        &["-p", "11211", "-u", "nobody", "-m", "64", "-c", "1024"],
        "items 64 MiB, one item 1024 KiB",
    ),
];

#[test]
fn the_vectors_of_deployments_start_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("memcached.pid");
    for (name, vector, limits) in VECTORS {
        let vector = vector
            .iter()
            .map(|word| if *word == "PID" { pid_file.to_str().unwrap() } else { word });
        let vector: Vec<&str> = vector.chain(["-p", "0"]).collect();
        let server = start_unprivileged(&vector);
        let said = server.said.last().unwrap();
        assert!(said.contains(limits), "{name}: {said}");
        let stored = b"STORED\r\nVALUE a 0 1\r\nx\r\nEND\r\n";
        server.tcp().ask(b"set a 0 0 1\r\nx\r\nget a\r\n", stored);
    }
}

/// These ask for what memcached must have been built with, and their caches would lack it.
#[test]
fn vectors_for_missing_features_are_refused() {
    // Loki's chart with persistence.
    let flash = "--extended=modern,track_sizes,ext_path=/data/file:9G,ext_wbuf_size=16";
    assert_refused(&["-m 1024", flash, "-I 5m", "-c 16384", "-v", "-u 11211"], "external storage");
    // bitnami's image with a password.
    assert_refused(&["-u", "memcached", "-p", "11211", "-v", "-S", "-m", "64"], "SASL");
}
