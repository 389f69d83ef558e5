"""The limit of failed logins."""

from __future__ import annotations

from xqueue_server.accounts.failed_logins import FailedLogins


class Stopwatch:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def failed_times(limit: FailedLogins, times: int, name: str = "lms", address: str = "::1") -> None:
    for _ in range(times):
        limit.record(name, address)


def test_nine_failures_are_forgiven_and_ten_are_not() -> None:
    limit = FailedLogins(monotonic_s=Stopwatch())
    failed_times(limit, 9)
    assert limit.wait_s("lms", "::1") == 0
    failed_times(limit, 1)
    assert limit.wait_s("lms", "::1") == 60


def test_the_wait_ends_when_the_oldest_failure_leaves_the_window() -> None:
    watch = Stopwatch()
    limit = FailedLogins(monotonic_s=watch)
    failed_times(limit, 1)
    watch.now_s += 20
    failed_times(limit, 9)
    assert limit.wait_s("lms", "::1") == 40
    watch.now_s += 40
    assert limit.wait_s("lms", "::1") == 0
    failed_times(limit, 1)
    assert limit.wait_s("lms", "::1") == 20


def test_another_account_and_another_address_are_not_touched() -> None:
    limit = FailedLogins(monotonic_s=Stopwatch())
    failed_times(limit, 10, "lms", "10.0.0.1")
    assert limit.wait_s("lms", "10.0.0.1")
    assert not limit.wait_s("lms", "10.0.0.2")
    assert not limit.wait_s("grader", "10.0.0.1")


def test_addresses_of_one_ipv6_customer_count_together() -> None:
    limit = FailedLogins(monotonic_s=Stopwatch())
    for i in range(10):
        limit.record("lms", f"2001:db8::{i:x}")
    assert limit.wait_s("lms", "2001:db8::ffff")
    assert not limit.wait_s("lms", "2001:db8:0:1::1")


def test_a_success_forgives() -> None:
    limit = FailedLogins(monotonic_s=Stopwatch())
    failed_times(limit, 10)
    limit.forgive("lms", "::1")
    assert limit.wait_s("lms", "::1") == 0


def test_memory_is_bounded_and_the_longest_unseen_pair_goes_first() -> None:
    limit = FailedLogins(max_failures=1, max_pairs=2, monotonic_s=Stopwatch())
    for name in ("a", "b", "a", "c"):
        limit.record(name, "::1")
    assert [bool(limit.wait_s(name, "::1")) for name in "abc"] == [True, False, True]


def test_an_unreadable_address_is_a_key_like_any_other() -> None:
    limit = FailedLogins(max_failures=1, monotonic_s=Stopwatch())
    limit.record("lms", "unknown")
    assert limit.wait_s("lms", "unknown")
