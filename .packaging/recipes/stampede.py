"""One client recomputes a missing, old or stale value; all others wait for it or use the old one.

    from stampede import fetch
    page = fetch(client, "page:42", lambda: render(42), ttl=300)

The meta command `mg` with the flags N and R elects the client: its answer has the flag W. `client` is a
pymemcache Client, or one that is borrowed from a pool (ClientPool). To mark a value as stale instead of
deleting it, call `stale`.
"""

import json
import time

LEASE_S = 10  # How long the elected client may take before another is elected.
EARLY_S = 5  # One client recomputes the value when so many seconds of its life are left.
POLL_S = 0.02


def meta(client, command):
    """The answer of one meta command: its words and, for VA, its value.

    `mn` follows the command, and its answer MN marks the end. Values are JSON in one line, so that no
    value can have that line in it.
    """
    answer = client.raw_command(command + b"\r\nmn", end_tokens=b"MN\r\n")
    line, _, rest = answer.partition(b"\r\n")
    words = line.split()
    return words, rest.partition(b"\r\n")[0] if words[0] == b"VA" else None


def fetch(client, key, compute, ttl):
    """The value of `key`, from the cache or from `compute()`, which one client at a time calls."""
    name = key.encode()
    # v: the value; c: its cas id, for `ms`; N: a missing item is created empty, with this time to live,
    # and its creator is elected; R: one client is elected when less life is left.
    asked = b"mg %s v c N%d R%d" % (name, LEASE_S, EARLY_S)
    while True:
        words, value = meta(client, asked)
        flags = {word[:1]: word[1:] for word in words[1:]}
        if b"W" in flags:
            fresh = compute()
            data = json.dumps(fresh).encode()
            # C: stored only if the item is still the one that was seen. I: if it has been marked as
            # stale since (its cas id is higher), this value is stored as stale, too.
            stored = b"ms %s %d T%d C%s I\r\n%s" % (name, len(data), ttl, flags[b"c"], data)
            meta(client, stored)
            return fresh
        if value:
            # Present; perhaps stale (X), while the elected client recomputes it (Z).
            return json.loads(value)
        # Created and still empty.
        time.sleep(POLL_S)


def stale(client, key, ttl=30):
    """Marks the value: one client recomputes it, and the others use it for `ttl` seconds at most."""
    meta(client, b"md %s I T%d" % (key.encode(), ttl))
