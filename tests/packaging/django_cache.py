"""Uses Django's cache and sessions with the settings of a recipe: django_cache.py SETTINGS."""

import importlib.util
import sys
import threading

import django
from django.conf import settings

spec = importlib.util.spec_from_file_location("recipe", sys.argv[1])
recipe = importlib.util.module_from_spec(spec)
spec.loader.exec_module(recipe)
names = {name: value for name, value in vars(recipe).items() if name.isupper()}
settings.configure(**names, INSTALLED_APPS=["django.contrib.sessions"])
django.setup()

from django.contrib.sessions.backends.cache import SessionStore  # noqa: E402
from django.core.cache import cache, close_caches  # noqa: E402

cache.set("object", {"list": [1, 2]}, 30)
assert cache.get("object") == {"list": [1, 2]}
assert cache.add("number", 1) and not cache.add("number", 2)
assert cache.incr("number") == 2
many = {"small": 1, "large": b"x" * 100_000}
assert cache.set_many(many) == []
assert cache.get_many(["small", "large", "missing"]) == many
assert cache.touch("small", 100) and not cache.touch("missing")
assert cache.delete("small") and cache.get("small") is None

session = SessionStore()
session["user"] = 7
session.save()
assert SessionStore(session.session_key)["user"] == 7

failures = []


def work(own):
    for key in range(20):
        cache.set(f"{own}:{key}", own)
        if cache.get(f"{own}:{key}") != own:
            failures.append(own)
    close_caches()


threads = [threading.Thread(target=work, args=(own,)) for own in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not failures, failures
