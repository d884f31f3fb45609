"""pylibmc, which is libmemcached, talks text and binary to the server at HOST PORT, in its moods."""

import sys

import pylibmc

ADDRESS = f"{sys.argv[1]}:{sys.argv[2]}"


def replaces_missing(client):
    try:
        return client.replace("nothing", "other")
    except pylibmc.NotFound:  # What binary servers answer: "not found", and not "not stored".
        return False


def commands(client):
    assert client.flush_all()
    assert client.set("a", "text")
    assert client.get("a") == "text"
    assert client.get("nothing") is None
    assert client.set("number", 41)
    assert client.get("number") == 41
    assert client.set("object", {"a": [1, 2, 3]})
    assert client.get("object") == {"a": [1, 2, 3]}
    assert client.set("bytes", bytes(range(256)))
    assert client.get("bytes") == bytes(range(256))
    assert client.set("large", b"x" * 1_000_000)
    assert client.get("large") == b"x" * 1_000_000
    assert not client.add("a", "other")
    assert client.add("b", b"b")
    assert not replaces_missing(client)
    assert client.replace("b", b"c")
    assert client.append("b", b"d")
    assert client.prepend("b", b"a")
    assert client.get("b") == b"acd"
    assert client.incr("number") == 42
    assert client.decr("number", 40) == 2
    assert client.touch("a", 100)
    assert not client.touch("nothing", 100)
    assert client.set_multi({f"key{n}": n for n in range(500)}) == []
    many = client.get_multi([f"key{n}" for n in range(600)])
    assert many == {f"key{n}": n for n in range(500)}
    assert client.delete_multi([f"key{n}" for n in range(500)])
    assert client.get_multi([f"key{n}" for n in range(600)]) == {}
    assert client.set("over", "x", time=100)
    assert client.delete("a")
    assert not client.delete("a")


def comparing(client):
    assert client.set("a", "1")
    value, cas = client.gets("a")
    assert value == "1" and cas > 0
    assert client.cas("a", "2", cas)
    assert not client.cas("a", "3", cas)
    assert client.get("a") == "2"


def buffered(client):
    for n in range(1000):
        client.set(f"key{n}", n)
    assert client.get_multi([f"key{n}" for n in range(1000)]) == {f"key{n}": n for n in range(1000)}


plain = pylibmc.Client([ADDRESS])
commands(plain)
commands(pylibmc.Client([ADDRESS], binary=True))
comparing(pylibmc.Client([ADDRESS], binary=True, behaviors={"cas": True}))
buffered(pylibmc.Client([ADDRESS], binary=True, behaviors={"no_block": True}))
buffered(pylibmc.Client([ADDRESS], binary=True, behaviors={"_noreply": True}))
commands(pylibmc.Client([ADDRESS], behaviors={"tcp_nodelay": True, "ketama": True}))
comparing(pylibmc.Client([ADDRESS], behaviors={"cas": True}))
buffered(pylibmc.Client([ADDRESS], behaviors={"no_block": True}))
buffered(pylibmc.Client([ADDRESS], behaviors={"_noreply": True}))
[(name, stats)] = plain.get_stats()
assert b"127.0.0.1" in name, name
statistics = {key: int(value) for key, value in stats.items() if value.isdigit()}
assert statistics["curr_items"] > 0 and statistics["cmd_set"] > 0, statistics
plain.disconnect_all()
