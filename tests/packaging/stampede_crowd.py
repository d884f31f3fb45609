"""Twenty clients at once ask for a value by the recipe `stampede`: one computes it.

    stampede_crowd.py FOLDER-OF-THE-RECIPES HOST PORT
"""

import sys
import threading
import time

from pymemcache.client.base import Client

sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
import stampede  # noqa: E402

CROWD = 20
TTL = 300


def client():
    return Client((sys.argv[2], int(sys.argv[3])), timeout=20, connect_timeout=20)


class Value:
    """A value that takes time to compute. Each time it is another one."""

    def __init__(self):
        self.change = threading.Condition()
        self.computed = 0
        self.numbers = []

    def compute(self):
        with self.change:
            self.computed += 1
            number = self.computed
        time.sleep(0.3)
        # The end of an answer, as a part of a value.
        return {"number": number, "text": "\r\nMN\r\n"}

    def compute_last(self):
        """Computes it when all other clients have got a value."""
        with self.change:
            assert self.change.wait_for(lambda: len(self.numbers) == CROWD - 1, 20)
        return self.compute()


def crowd(value, key, compute=None):
    """The numbers of the values that the clients get."""
    start = threading.Barrier(CROWD)
    value.numbers = numbers = []

    def run():
        own = client()
        own.version()
        start.wait()
        found = stampede.fetch(own, key, compute or value.compute, TTL)
        with value.change:
            numbers.append(found["number"])
            value.change.notify_all()

    threads = [threading.Thread(target=run) for _ in range(CROWD)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(numbers) == CROWD
    return sorted(numbers)


def life(key):
    words, _ = stampede.meta(client(), b"mg %s t" % key.encode())
    return int(words[1][1:])


def main():
    value = Value()
    # A miss: all wait for the one that computes.
    assert crowd(value, "page") == [1] * CROWD
    assert value.computed == 1
    assert TTL - 60 < life("page") <= TTL
    # A hit.
    assert crowd(value, "page") == [1] * CROWD
    assert value.computed == 1
    # A stale value: one computes, the others use the stale one.
    stampede.stale(client(), "page")
    assert crowd(value, "page", value.compute_last) == [1] * (CROWD - 1) + [2]
    assert value.computed == 2
    assert crowd(value, "page") == [2] * CROWD
    # Little life is left: the same.
    stampede.meta(client(), b"mg page T%d" % (stampede.EARLY_S - 1))
    assert crowd(value, "page", value.compute_last) == [2] * (CROWD - 1) + [3]
    assert value.computed == 3
    assert life("page") > TTL - 60
    # The value becomes stale while it is computed. What is stored then is stale, too, and used meanwhile.
    stampede.stale(client(), "page")
    one = threading.Thread(target=stampede.fetch, args=(client(), "page", value.compute, TTL))
    one.start()
    while value.computed < 4:
        time.sleep(0.01)
    stampede.stale(client(), "page")
    one.join()
    assert crowd(value, "page", value.compute_last) == [4] * (CROWD - 1) + [5]
    assert value.computed == 5
    # A client that is elected and dies: after its lease, of 1 s here, another one is elected.
    words, _ = stampede.meta(client(), b"mg dead v c N1")
    assert b"W" in words
    assert crowd(value, "dead") == [6] * CROWD
    assert value.computed == 6
    # None and false are values, too.
    for falsy in (None, False, 0, "", []):
        stampede.meta(client(), b"md falsy")
        assert stampede.fetch(client(), "falsy", lambda: falsy, TTL) == falsy
        assert stampede.fetch(client(), "falsy", value.compute, TTL) == falsy
    assert value.computed == 6


main()
