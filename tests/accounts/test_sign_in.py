"""Signing in with a name and a password."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.accounts.test_passwords import django_hash
from tests.accounts.test_single_flight import MANY, TIMEOUT_S, Key
from xqueue_server.accounts import passwords, signin
from xqueue_server.accounts.signin import REMEMBERED_S, SignIn
from xqueue_server.errors import NotSignedIn, StorageUnavailable
from xqueue_server.models.account import Account
from xqueue_server.storage import Storage, Transaction, accounts

SECRET = b"a secret of at least 32 characters"
ACTOR = "operator test"
HERE, ELSEWHERE = "10.0.0.1", "10.0.0.2"
PASSWORD = "correct horse"
HASH = passwords.hash_password(PASSWORD)


class Stopwatch:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class CountedHashes:
    """Counts the costly verifications, which stay real. They end not before `may_end`, if given."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *, may_end: threading.Event | None = None
    ) -> None:
        self.count = 0
        real = passwords.verify

        def verify(stored: str, password: str) -> bool:
            self.count += 1
            assert may_end is None or may_end.wait(TIMEOUT_S)
            return real(stored, password)

        monkeypatch.setattr(passwords, "verify", verify)


@pytest.fixture
def watch() -> Stopwatch:
    return Stopwatch()


@pytest.fixture
def account(storage: Storage) -> Account:
    return add(storage, "lms", HASH)


@pytest.fixture
def sign_in(storage: Storage, account: Account, watch: Stopwatch) -> SignIn:
    return SignIn(storage, SECRET, monotonic_s=watch)


def add(storage: Storage, name: str, password_hash: str) -> Account:
    with storage.write() as tx:
        return accounts.add(tx, name=name, password_hash=password_hash, grants=[], actor=ACTOR)


def fail_times(sign_in: SignIn, times: int, *, name: str = "lms", address: str = HERE) -> None:
    for _ in range(times):
        with pytest.raises(NotSignedIn):
            sign_in.verify(name, "wrong", address)


def test_the_right_password_signs_in(sign_in: SignIn, account: Account) -> None:
    assert sign_in.verify("lms", PASSWORD, HERE) == account


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("lms", "wrong"),
        ("nobody", PASSWORD),
        ("", PASSWORD),
        ("l\0s", PASSWORD),
        ("\ud800", PASSWORD),
        ("LMS", PASSWORD),
        ("lms", ""),
        ("lms", PASSWORD + "\0"),
        ("lms", "x" * 2000),
    ],
)
def test_anything_else_is_told_what_the_reference_tells(
    sign_in: SignIn, name: str, password: str
) -> None:
    with pytest.raises(NotSignedIn, match=r"^Incorrect login credentials$"):
        sign_in.verify(name, password, HERE)


def test_a_disabled_account_is_refused_even_if_it_was_remembered(
    storage: Storage, sign_in: SignIn
) -> None:
    sign_in.verify("lms", PASSWORD, HERE)
    with storage.write() as tx:
        accounts.set_active(tx, "lms", False, actor=ACTOR)
    with pytest.raises(NotSignedIn, match="Incorrect login credentials"):
        sign_in.verify("lms", PASSWORD, HERE)


def test_a_verified_credential_is_not_hashed_again_for_five_minutes(
    sign_in: SignIn, watch: Stopwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes = CountedHashes(monkeypatch)
    sign_in.verify("lms", PASSWORD, HERE)
    watch.now_s += REMEMBERED_S - 1
    sign_in.verify("lms", PASSWORD, ELSEWHERE)
    assert hashes.count == 1
    watch.now_s += 1
    sign_in.verify("lms", PASSWORD, HERE)
    assert hashes.count == 2


def test_a_changed_password_counts_at_once_in_every_process(
    storage: Storage, sign_in: SignIn
) -> None:
    other_process = SignIn(storage, SECRET)
    for each in (sign_in, other_process):
        each.verify("lms", PASSWORD, HERE)
    with storage.write() as tx:
        accounts.set_password(tx, "lms", passwords.hash_password("new one"), actor=ACTOR)
    for each in (sign_in, other_process):
        with pytest.raises(NotSignedIn):
            each.verify("lms", PASSWORD, HERE)
        assert each.verify("lms", "new one", HERE)


def test_a_change_of_the_grants_is_seen_by_a_remembered_credential(
    storage: Storage, sign_in: SignIn
) -> None:
    sign_in.verify("lms", PASSWORD, HERE)
    with storage.write() as tx:
        accounts.grant(tx, "lms", [accounts.Grant(role=accounts.Role.LMS, queue="*")], actor=ACTOR)
    assert sign_in.verify("lms", PASSWORD, HERE).grants


def test_what_is_remembered_is_bounded(
    storage: Storage, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signin, "MAX_REMEMBERED", 1)
    add(storage, "other", HASH)
    hashes = CountedHashes(monkeypatch)
    for name in ("lms", "other", "lms"):
        sign_in.verify(name, PASSWORD, HERE)
    assert hashes.count == 3


def test_an_unknown_name_costs_as_many_hashes_as_a_wrong_password(
    sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes = CountedHashes(monkeypatch)
    fail_times(sign_in, 1)
    fail_times(sign_in, 1, name="nobody")
    assert hashes.count == 2


def test_simultaneous_logins_with_one_credential_are_hashed_once(
    sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_ask = threading.Event()
    hashes = CountedHashes(monkeypatch, may_end=all_ask)
    share = sign_in._flights.do
    asking: set[int] = set()

    def ask() -> None:
        asking.add(threading.get_ident())
        if len(asking) == MANY:
            all_ask.set()

    # However late a thread comes: the hash ends when all share it.
    monkeypatch.setattr(sign_in._flights, "do", lambda key, compute: share(Key(key, ask), compute))

    def log_in() -> str:
        return sign_in.verify("lms", PASSWORD, HERE).name

    with ThreadPoolExecutor(MANY) as pool:
        assert {f.result() for f in [pool.submit(log_in) for _ in range(MANY)]} == {"lms"}
    assert hashes.count == 1


def test_the_eleventh_failure_in_a_minute_is_not_even_looked_at(
    sign_in: SignIn, watch: Stopwatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_times(sign_in, 10)
    hashes = CountedHashes(monkeypatch)
    watch.now_s += 18
    with pytest.raises(
        NotSignedIn,
        match=r"^Too many failed logins for this account from this address; try again in 42 s$",
    ):
        sign_in.verify("lms", PASSWORD, HERE)
    assert hashes.count == 0


def test_after_the_wait_the_right_password_signs_in(sign_in: SignIn, watch: Stopwatch) -> None:
    fail_times(sign_in, 10)
    watch.now_s += 60
    assert sign_in.verify("lms", PASSWORD, HERE)


def test_nobody_can_lock_the_lms_out_from_another_address(sign_in: SignIn) -> None:
    fail_times(sign_in, 12, address=ELSEWHERE)
    assert sign_in.verify("lms", PASSWORD, HERE)


def test_a_remembered_credential_passes_whatever_failed_before(sign_in: SignIn) -> None:
    sign_in.verify("lms", PASSWORD, HERE)
    fail_times(sign_in, 12)
    assert sign_in.verify("lms", PASSWORD, HERE)


def test_unknown_names_are_limited_alike(sign_in: SignIn) -> None:
    fail_times(sign_in, 10, name="nobody")
    with pytest.raises(NotSignedIn, match="Too many"):
        sign_in.verify("nobody", "wrong", HERE)


def test_one_password_tried_on_many_accounts_is_limited_by_the_address(sign_in: SignIn) -> None:
    for number in range(100):
        fail_times(sign_in, 1, name=f"guess-{number}")
    with pytest.raises(NotSignedIn, match=r"^Too many failed logins from this address; try again"):
        sign_in.verify("lms", PASSWORD, HERE)
    assert sign_in.verify("lms", PASSWORD, ELSEWHERE)


def test_a_success_forgives_earlier_failures(sign_in: SignIn) -> None:
    fail_times(sign_in, 9)
    sign_in.verify("lms", PASSWORD, HERE)
    fail_times(sign_in, 9)
    assert sign_in.verify("lms", PASSWORD, HERE)


def test_an_imported_account_signs_in_and_gets_a_better_hash(
    storage: Storage, sign_in: SignIn
) -> None:
    imported = add(storage, "imported", django_hash("django"))
    assert sign_in.verify("imported", "django", HERE).id == imported.id
    with storage.read() as tx:
        stored = accounts.get(tx, "imported")
    assert stored.password_hash.startswith("$argon2id$")
    assert stored.credential_version == imported.credential_version
    assert sign_in.verify("imported", "django", HERE) == stored


def test_a_wrong_password_of_an_imported_account_changes_nothing(
    storage: Storage, sign_in: SignIn
) -> None:
    imported = add(storage, "imported", django_hash("django"))
    fail_times(sign_in, 1, name="imported")
    with storage.read() as tx:
        assert accounts.get(tx, "imported") == imported


def test_a_login_stands_even_if_the_better_hash_can_not_be_stored(
    storage: Storage, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(storage, "imported", django_hash("django"))

    @contextmanager
    def unavailable() -> Iterator[Transaction]:
        raise StorageUnavailable("away")
        yield

    monkeypatch.setattr(storage, "write", unavailable)
    assert sign_in.verify("imported", "django", HERE).name == "imported"


def test_a_password_appears_in_no_log_and_no_repr(
    sign_in: SignIn, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(NotSignedIn) as refused:
        sign_in.verify("lms", "hunter2-hunter2", HERE)
    sign_in.verify("lms", PASSWORD, HERE)
    said = caplog.text + repr(vars(sign_in)) + repr(vars(sign_in._verified)) + repr(refused.value)
    assert "hunter2" not in said
    assert PASSWORD not in said
