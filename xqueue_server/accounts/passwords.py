"""Password hashes: argon2id of ours, and the PBKDF2 of imported Django accounts.

It knows neither accounts nor logins; how often one may try is `signin`'s business.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

from xqueue_server.errors import InvalidRequest, NotSignedIn

MAX_PASSWORD_BYTES = 1024
MAX_DJANGO_ITERATIONS = 3_000_000
"""Django 5.2 writes 1,000,000 (a quarter of a second); more would let an import stall logins."""
HASHES_AT_ONCE = 2
"""Of each process: a flood of logins must leave the processor to those who are signed in."""
PATIENCE_S = 10.0

# Pinned, not the library's default: OWASP's first choice, some 20 ms and 19 MiB for each hash.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, type=Type.ID)
_SLOTS = threading.BoundedSemaphore(HASHES_AT_ONCE)
_DJANGO = re.compile(r"pbkdf2_sha256\$([1-9][0-9]{0,8})\$([^$]{1,128})\$([A-Za-z0-9+/]{43}=)")


def is_usable(password: str) -> bool:
    """Whether this can be a password at all: not empty, not over-long, no NUL, real text."""
    try:
        size = len(password.encode())
    except UnicodeEncodeError:  # half a surrogate pair
        return False
    return 0 < size <= MAX_PASSWORD_BYTES and "\0" not in password


def hash_password(password: str) -> str:
    """Raises: InvalidRequest for a text that can not be a password."""
    if not is_usable(password):
        raise InvalidRequest(
            f"A password must have 1 to {MAX_PASSWORD_BYTES} bytes and no NUL character"
        )
    with _slot():
        return _HASHER.hash(password)


def verify(stored_hash: str, password: str) -> bool:
    """Whether the password belongs to the hash. A hash of an unknown kind fits no password.

    Raises:
        NotSignedIn: too many hashes are being computed; nothing was checked.
    """
    if not is_usable(password):
        return False
    with _slot():
        django = _DJANGO.fullmatch(stored_hash)
        return _fits_django(django, password) if django else _fits_argon2(stored_hash, password)


def needs_rehash(stored_hash: str) -> bool:
    """Whether the hash was not made with today's algorithm and cost."""
    try:
        return _HASHER.check_needs_rehash(stored_hash)
    except InvalidHashError:
        return True


def is_importable(stored_hash: str) -> bool:
    """Whether this is a Django hash that `verify` will check."""
    found = _DJANGO.fullmatch(stored_hash)
    return bool(found and int(found[1]) <= MAX_DJANGO_ITERATIONS)


def _fits_argon2(stored_hash: str, password: str) -> bool:
    try:
        return _HASHER.verify(stored_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def _fits_django(stored: re.Match[str], password: str) -> bool:
    iterations, salt, digest = int(stored[1]), stored[2].encode(), stored[3]
    if iterations > MAX_DJANGO_ITERATIONS:
        return False
    try:
        expected = base64.b64decode(digest, validate=True)
    except binascii.Error:
        return False
    found = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    return hmac.compare_digest(found, expected)


@contextmanager
def _slot() -> Iterator[None]:
    if not _SLOTS.acquire(timeout=PATIENCE_S):
        raise NotSignedIn("Too many logins are being checked; try again in a moment")
    try:
        yield
    finally:
        _SLOTS.release()
