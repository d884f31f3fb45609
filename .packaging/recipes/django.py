"""Django's settings for miocached over a Unix socket: `from .django import CACHES`, or copy them.

They need pymemcache. Sessions that are only in the cache are lost when it evicts them, and when it restarts
without --snapshot. SESSION_ENGINE "django.contrib.sessions.backends.cached_db" also writes them to the
database.
"""

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.memcached.PyMemcacheCache",
        "LOCATION": "unix:/run/miocached.sock",
        "TIMEOUT": 300,
        "KEY_PREFIX": "site",
        "OPTIONS": {
            # A pool of connections, each used by one thread at a time. A dead connection is replaced.
            "use_pooling": True,
            "max_pool_size": 32,
            "connect_timeout": 1,
            "timeout": 1,
        },
    }
}

SESSION_ENGINE = "django.contrib.sessions.backends.cache"
SESSION_CACHE_ALIAS = "default"
