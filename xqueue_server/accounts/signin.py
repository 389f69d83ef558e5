"""Who is asking: checks a name and password, quickly after the first time.

LMS processes log in again and again. A credential that was verified is therefore remembered for a
few minutes, under a key that also contains the stored hash; as the account's row is read first
every time, a change of password, activity or grants counts at once in every process.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from xqueue_server.accounts import passwords
from xqueue_server.accounts.failed_logins import FailedLogins
from xqueue_server.accounts.single_flight import SingleFlight
from xqueue_server.errors import NotSignedIn, StorageUnavailable
from xqueue_server.models.account import Account
from xqueue_server.secret_key import key_for
from xqueue_server.storage import Storage, accounts

INCORRECT = "Incorrect login credentials"
"""Verbatim what the reference server answers; LMS operators know it from their logs."""
REMEMBERED_S = 300.0
MAX_REMEMBERED = 1000
MAX_FAILURES_OF_ADDRESS = 100
"""In a minute, whatever the accounts: who tries one password on many of them is no client of ours.
A client that was let in lately is not affected."""
ANY_ACCOUNT = ""


class SignIn:
    """Checks credentials. Safe to share between threads; each process remembers for itself."""

    def __init__(
        self,
        storage: Storage,
        secret_key: bytes,
        *,
        monotonic_s: Callable[[], float] = time.monotonic,
        failed_logins: FailedLogins | None = None,
    ) -> None:
        self._storage = storage
        self._key = key_for("verified credentials", secret_key)
        self._verified = _Verified(monotonic_s)
        self._failed = failed_logins or FailedLogins(monotonic_s=monotonic_s)
        self._failed_anywhere = FailedLogins(
            max_failures=MAX_FAILURES_OF_ADDRESS, monotonic_s=monotonic_s
        )
        self._flights: SingleFlight[bool] = SingleFlight()

    def verify(self, name: str, password: str, address: str) -> Account:
        """The active account that these credentials belong to.

        `address` is the client's (see `client_address`).

        Raises:
            NotSignedIn: the message is meant for the client.
            StorageUnavailable: the accounts can not be read now.
        """
        account = self._account(name)
        if not passwords.is_usable(password):
            raise NotSignedIn(INCORRECT)
        credential = self._credential(name, account, password)
        if account and account.active and self._verified.holds(credential):
            return account
        self._refuse_if_limited(account, name, address)
        if not self._is_correct(credential, account, password):
            self._failed.record(_limited_name(account, name), address)
            self._failed_anywhere.record(ANY_ACCOUNT, address)
            raise NotSignedIn(INCORRECT)
        assert account is not None
        self._failed.forgive(account.name, address)
        return self._remember(credential, account, password)

    def _account(self, name: str) -> Account | None:
        with self._storage.read() as tx:
            return accounts.by_name(tx, name)

    def _credential(self, name: str, account: Account | None, password: str) -> bytes:
        """A name for "this account, as it is stored now, with this password" that reveals none."""
        digest = hmac.new(self._key, digestmod=hashlib.sha256)
        known = (str(account.id), account.password_hash) if account else ("", "")
        for part in (name, *known, password):
            text = part.encode(errors="surrogatepass")
            digest.update(len(text).to_bytes(8, "big") + text)
        return digest.digest()

    def _refuse_if_limited(self, account: Account | None, name: str, address: str) -> None:
        wait_s = self._failed.wait_s(_limited_name(account, name), address)
        if wait_s:
            raise NotSignedIn(
                "Too many failed logins for this account from this address; "
                f"try again in {wait_s} s"
            )
        wait_s = self._failed_anywhere.wait_s(ANY_ACCOUNT, address)
        if wait_s:
            raise NotSignedIn(f"Too many failed logins from this address; try again in {wait_s} s")

    def _is_correct(self, credential: bytes, account: Account | None, password: str) -> bool:
        """Every refusal costs one hash, so that its time does not tell whether the name exists."""
        stored = account.password_hash if account else _hash_of_nobody()
        fits = self._flights.do(credential, lambda: passwords.verify(stored, password))
        return fits and account is not None and account.active

    def _remember(self, credential: bytes, account: Account, password: str) -> Account:
        self._verified.add(credential)
        if passwords.needs_rehash(account.password_hash):
            # The login stands, whether or not the better hash can be stored right now.
            with contextlib.suppress(StorageUnavailable, NotSignedIn):
                self._flights.do(credential + b"rehash", lambda: self._rehash(account, password))
        return account

    def _rehash(self, account: Account, password: str) -> bool:
        better = passwords.hash_password(password)
        with self._storage.write() as tx:
            return accounts.rehash(tx, account, better, actor=f"account {account.name}")


class _Verified:
    """The most recently used credentials that were verified not long ago."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._until: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()

    def holds(self, credential: bytes) -> bool:
        with self._lock:
            until = self._until.get(credential)
            if until is None or until <= self._monotonic_s():
                return False
            self._until.move_to_end(credential)
            return True

    def add(self, credential: bytes) -> None:
        with self._lock:
            self._until[credential] = self._monotonic_s() + REMEMBERED_S
            self._until.move_to_end(credential)
            if len(self._until) > MAX_REMEMBERED:
                self._until.popitem(last=False)


def _limited_name(account: Account | None, name: str) -> str:
    """Names that clients make up are shortened: they are kept in memory."""
    return account.name if account else name[:128]


@functools.cache
def _hash_of_nobody() -> str:
    """Checked in place of an unknown account's hash; fits no password that anybody knows."""
    return passwords.hash_password(secrets.token_hex(32))
