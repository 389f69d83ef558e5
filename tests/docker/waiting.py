"""Waiting for what happens beside a run."""

import time


def wait_until(condition, patience_s=120.0):
    until = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


def waiting(backend):
    """Containers that are ready in a backend's pool."""
    return backend.describe().counters.get("waiting", 0)
