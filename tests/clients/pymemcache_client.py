"""pymemcache talks to the server at HOST PORT: every command that it has, and what comes back."""

import sys

from pymemcache.client.base import Client, PooledClient
from pymemcache.client.hash import HashClient
from pymemcache.exceptions import MemcacheClientError

HOST, PORT = sys.argv[1], int(sys.argv[2])


def refused(error, function, *arguments, **named):
    try:
        function(*arguments, **named)
    except error:
        return True
    return False


def commands(client):
    client.flush_all(noreply=False)
    # Storing, answered and not.
    assert client.set("a", b"1", noreply=False) is True
    assert client.set("a", b"2") is True
    assert client.get("a") == b"2"
    assert client.add("a", b"3", noreply=False) is False
    assert client.add("b", b"3", noreply=False) is True
    assert client.replace("c", b"4", noreply=False) is False
    assert client.replace("b", b"4", noreply=False) is True
    assert client.append("b", b"5", noreply=False) is True
    assert client.prepend("b", b"3", noreply=False) is True
    assert client.get("b") == b"345"
    assert client.set("bytes", bytes(range(256)), flags=7, noreply=False) is True
    assert client.get("bytes") == bytes(range(256))
    assert client.set("empty", b"", noreply=False) is True
    assert client.get("empty") == b""
    assert client.set("large", b"x" * 1_000_000, noreply=False) is True
    assert client.get("large") == b"x" * 1_000_000
    # Fetching.
    assert client.get("nothing") is None
    assert client.get("nothing", b"default") == b"default"
    assert client.get_many(["a", "nothing", "b"]) == {"a": b"2", "b": b"345"}
    assert client.set_many({f"key{n}": str(n) for n in range(500)}, noreply=False) == []
    many = client.get_many([f"key{n}" for n in range(600)])
    assert many == {f"key{n}": str(n).encode() for n in range(500)}
    # Comparing.
    value, cas = client.gets("a")
    assert value == b"2"
    assert client.cas("a", b"3", cas, noreply=False) is True
    assert client.cas("a", b"4", cas, noreply=False) is False
    assert client.cas("nothing", b"4", cas, noreply=False) is None
    # Counting.
    client.set("n", b"10", noreply=False)
    assert client.incr("n", 5) == 15
    assert client.decr("n", 100) == 0
    assert client.incr("nothing", 1) is None
    assert refused(MemcacheClientError, client.incr, "large", 1)
    # Ends.
    assert client.touch("a", 100, noreply=False) is True
    assert client.touch("nothing", 100, noreply=False) is False
    assert client.set("over", b"x", expire=-1, noreply=False) is True
    assert client.get("over") is None
    # Deleting.
    assert client.delete("a", noreply=False) is True
    assert client.delete("a", noreply=False) is False
    assert client.delete_many(["b", "nothing"], noreply=False) is True
    assert client.get_many(["a", "b"]) == {}
    client.flush_all(noreply=False)
    assert client.get("n") is None


def administration(client):
    assert client.version().startswith(b"1.6."), client.version()
    stats = client.stats()
    for name in [b"pid", b"uptime", b"cmd_get", b"curr_items", b"threads", b"evictions"]:
        assert name in stats, name
    assert stats[b"get_hits"] > 0
    assert b"maxbytes" in client.stats("settings")
    # What it has no function for, it passes on as it is.
    assert client.raw_command(b"gat 100 a", b"END\r\n") == b"VALUE a 0 1\r\n1\r\n"
    assert client.raw_command(b"ms m 3 F5\r\nabc") == b"HD"
    assert client.raw_command(b"mg m f v", b"abc\r\n").startswith(b"VA 3 f5")
    assert client.raw_command(b"md m q\r\nmn") == b"MN"
    if b"miocached" in client.version():
        client.set_many({"user:1": b"1", "user:2": b"2", "page:1": b"3"}, noreply=False)
        assert client.raw_command(b"flush_prefix user") == b"OK"
        assert client.get_many(["user:1", "user:2", "page:1"]) == {"page:1": b"3"}
        assert client.stats("hotkeys")[b"hotkeys_status"] == b"disabled"


single = Client((HOST, PORT), timeout=20, no_delay=True)
commands(single)
commands(PooledClient((HOST, PORT), timeout=20, max_pool_size=2))
single.set("a", b"1", noreply=False)
single.get("a")
administration(single)
hashed = HashClient([(HOST, PORT)], timeout=20)
assert hashed.set("a", b"1", noreply=False) is True
assert hashed.get_many(["a", "b"]) == {"a": b"1"}
single.quit()
