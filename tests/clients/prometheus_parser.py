"""Reads the metrics of a server that has executed one set and one get of two keys, with Prometheus' own
parser, and checks what the parser does not."""

import sys
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

with urlopen(sys.argv[1]) as answer:
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    text = answer.read().decode()

families = {family.name: family for family in text_string_to_metric_families(text)}
assert len(families) == text.count("# TYPE "), "a family is written twice"
for family in families.values():
    assert family.documentation and family.samples, family
    assert family.type in ("counter", "gauge", "histogram"), family
    labels = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in family.samples]
    assert len(set(labels)) == len(labels), f"a sample is written twice: {family}"


def value(name, **labels):
    family = families[name.removesuffix("_total")]
    found = [sample.value for sample in family.samples if sample.labels == labels]
    assert len(found) == 1, (name, labels, family)
    return found[0]


assert value("memcached_up") == 1
assert value("memcached_commands_total", command="get", status="hit") == 1
assert value("memcached_commands_total", command="get", status="miss") == 1
assert value("memcached_commands_total", command="set", status="hit") == 1
assert value("memcached_slab_current_items", slab="1") == 1
states = sum(value("miocached_memory_bytes", state=state) for state in ("live", "dead", "free"))
assert 0.99 < states / value("memcached_limit_bytes") <= 1

for name in ("miocached_turn_duration_seconds", "miocached_request_duration_seconds"):
    samples = families[name].samples
    buckets = [sample for sample in samples if sample.name == name + "_bucket"]
    bounds = [float(sample.labels["le"]) for sample in buckets]
    counts = [sample.value for sample in buckets]
    assert bounds == sorted(set(bounds)) and bounds[-1] == float("inf"), bounds
    assert counts == sorted(counts), counts
    [total] = [sample.value for sample in samples if sample.name == name + "_sum"]
    [count] = [sample.value for sample in samples if sample.name == name + "_count"]
    assert count == counts[-1] and 0 < total < 10, (count, total)
assert value("miocached_requests_total") == 2
