"""Session tokens."""

from __future__ import annotations

import base64

import pytest

from xqueue_server.accounts.sessions import SESSION_S, Sessions
from xqueue_server.models.account import Account
from xqueue_server.storage import Storage, accounts

SECRET = b"a secret of at least 32 characters"
ACTOR = "operator test"


class WallClock:
    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def wall() -> WallClock:
    return WallClock()


@pytest.fixture
def sessions(wall: WallClock) -> Sessions:
    return Sessions(SECRET, now_s=wall)


@pytest.fixture
def account(storage: Storage) -> Account:
    with storage.write() as tx:
        return accounts.add(tx, name="lms", password_hash="hash", grants=[], actor=ACTOR)


def an_account(account_id: int = 7) -> Account:
    return Account(
        id=account_id,
        name="lms",
        password_hash="",
        credential_version=3,
        active=True,
        grants=(),
    )


def account_of(storage: Storage, sessions: Sessions, token: str) -> Account | None:
    with storage.read() as tx:
        return sessions.account_of(tx, token)


def test_a_token_says_for_whom_and_when_it_was_issued(sessions: Sessions, wall: WallClock) -> None:
    claim = sessions.read(sessions.issue(an_account()))
    assert claim is not None
    assert (claim.account_id, claim.credential_version) == (7, 3)
    assert claim.issued_at.timestamp() == wall.now_s


def test_a_token_fits_into_a_cookie_as_it_is(sessions: Sessions) -> None:
    token = sessions.issue(an_account(2**63 - 1))
    assert len(token) == 48
    assert set(token) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


def test_a_token_ends_after_two_weeks(sessions: Sessions, wall: WallClock) -> None:
    token = sessions.issue(an_account())
    wall.now_s += SESSION_S - 1
    assert sessions.read(token)
    wall.now_s += 1
    assert sessions.read(token) is None


def test_a_token_from_the_future_does_not_count(sessions: Sessions, wall: WallClock) -> None:
    token = sessions.issue(an_account())
    wall.now_s -= 200  # another host's clock
    assert sessions.read(token)
    wall.now_s -= 200
    assert sessions.read(token) is None


def test_every_changed_character_voids_a_token(sessions: Sessions) -> None:
    token = sessions.issue(an_account())
    for i, character in enumerate(token):
        forged = token[:i] + ("A" if character != "A" else "B") + token[i + 1 :]
        assert sessions.read(forged) is None


@pytest.mark.parametrize("token", ["", "x", "x" * 47, "x" * 48, "=" * 48, "ä" * 48, "\0" * 48])
def test_rubbish_is_no_token(sessions: Sessions, token: str) -> None:
    assert sessions.read(token) is None


def test_a_token_of_another_secret_does_not_count(sessions: Sessions, wall: WallClock) -> None:
    foreign = Sessions(SECRET + b"!", now_s=wall).issue(an_account())
    assert sessions.read(foreign) is None


def test_a_token_reveals_no_secret(sessions: Sessions) -> None:
    assert SECRET not in base64.urlsafe_b64decode(sessions.issue(an_account()))


def test_a_token_leads_to_the_account_as_it_is_now(
    storage: Storage, sessions: Sessions, account: Account
) -> None:
    assert account_of(storage, sessions, sessions.issue(account)) == account


def test_a_rehash_keeps_sessions(storage: Storage, sessions: Sessions, account: Account) -> None:
    token = sessions.issue(account)
    with storage.write() as tx:
        accounts.rehash(tx, account, "better", actor=ACTOR)
    assert account_of(storage, sessions, token)


def test_a_new_password_ends_every_session(
    storage: Storage, sessions: Sessions, account: Account
) -> None:
    token = sessions.issue(account)
    with storage.write() as tx:
        accounts.set_password(tx, "lms", "new", actor=ACTOR)
    assert account_of(storage, sessions, token) is None


def test_disabling_ends_every_session_and_enabling_revives_none(
    storage: Storage, sessions: Sessions, account: Account
) -> None:
    token = sessions.issue(account)
    for active in (False, True):
        with storage.write() as tx:
            accounts.set_active(tx, "lms", active, actor=ACTOR)
        assert account_of(storage, sessions, token) is None


def test_a_session_of_a_removed_account_does_not_pass_to_a_new_one(
    storage: Storage, sessions: Sessions, account: Account
) -> None:
    token = sessions.issue(account)
    with storage.write() as tx:
        accounts.remove(tx, "lms", actor=ACTOR)
        accounts.add(tx, name="lms", password_hash="hash", grants=[], actor=ACTOR)
    assert account_of(storage, sessions, token) is None
