"""Hashing and verifying passwords."""

from __future__ import annotations

import base64
import hashlib
import threading
import time

import pytest

from xqueue_server.accounts import passwords
from xqueue_server.errors import InvalidRequest, NotSignedIn


def django_hash(password: str, *, iterations: int = 1000, salt: str = "salt") -> str:
    """As `django.contrib.auth.hashers.PBKDF2PasswordHasher` writes it."""
    digest = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), iterations)
    return f"pbkdf2_sha256${iterations}${salt}${base64.b64encode(digest).decode()}"


def test_a_hash_fits_its_password_only() -> None:
    stored = passwords.hash_password("pässword")
    assert passwords.verify(stored, "pässword")
    assert not passwords.verify(stored, "password")


def test_the_cost_of_a_hash_is_pinned() -> None:
    assert passwords.hash_password("x").startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_a_fresh_hash_needs_no_rehash() -> None:
    assert not passwords.needs_rehash(passwords.hash_password("x"))


def test_a_django_hash_fits_its_password_only_and_needs_a_rehash() -> None:
    stored = django_hash("secret")
    assert passwords.verify(stored, "secret")
    assert not passwords.verify(stored, "Secret")
    assert passwords.needs_rehash(stored)
    assert passwords.is_importable(stored)


def test_a_hash_that_django_itself_wrote_is_understood() -> None:
    # The example of Django's own test suite (tests/auth_tests/test_hashers.py, test_pbkdf2).
    stored = "pbkdf2_sha256$1500000$seasalt$P4UiMPVduVWIL/oS1GzH+IofsccjJNM5hUTikBvi5to="
    assert passwords.verify(stored, "lètmein")


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "!unusable",
        "md5$salt$0123",
        "argon2$argon2id$v=19$m=102400,t=2,p=8$c2FsdA$aGFzaA",
        "pbkdf2_sha256$1000$salt$short",
        "pbkdf2_sha256$-1$salt$" + "A" * 43 + "=",
        "pbkdf2_sha256$0$salt$" + "A" * 43 + "=",
        "$argon2id$v=19$m=19456,t=2,p=1$broken",
    ],
)
def test_a_hash_of_another_kind_fits_no_password_and_is_not_imported(stored: str) -> None:
    assert not passwords.verify(stored, "x")
    assert not passwords.is_importable(stored)


def test_a_django_hash_with_absurd_iterations_is_not_computed() -> None:
    stored = django_hash("x").replace("$1000$", "$900000000$")
    began = time.monotonic()
    assert not passwords.verify(stored, "x")
    assert time.monotonic() - began < 30  # they would take minutes
    assert not passwords.is_importable(stored)


@pytest.mark.parametrize("password", ["", "a\0b", "\ud800", "x" * 1025, "ä" * 513])
def test_an_impossible_password_is_refused_before_any_hashing(
    password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = passwords.hash_password("x")
    monkeypatch.setattr(passwords, "_HASHER", None)  # using it would fail
    assert not passwords.verify(stored, password)
    with pytest.raises(InvalidRequest, match="1 to 1024 bytes"):
        passwords.hash_password(password)


class CountingHasher:
    """In place of argon2: notes how many hashes run at once."""

    def __init__(self) -> None:
        self.most = self._now = 0
        self._lock = threading.Lock()

    def verify(self, _stored: str, _password: str) -> bool:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(0.02)
        with self._lock:
            self._now -= 1
        return True


def test_at_most_two_hashes_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = CountingHasher()
    monkeypatch.setattr(passwords, "_HASHER", hasher)
    threads = [threading.Thread(target=passwords.verify, args=("h", f"p{i}")) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert hasher.most == 2


def test_who_waits_too_long_for_a_hash_is_told_to_come_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(passwords, "PATIENCE_S", 0.01)
    monkeypatch.setattr(passwords, "_SLOTS", threading.BoundedSemaphore(1))
    with passwords._SLOTS, pytest.raises(NotSignedIn, match="try again in a moment"):
        passwords.verify("h", "p")
