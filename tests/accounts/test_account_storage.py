"""Accounts in the database, on every kind of database."""

from __future__ import annotations

import dataclasses

import pytest
from sqlalchemy import event

from xqueue_server.errors import Conflict, InvalidRequest, NotFound
from xqueue_server.models.account import ALL_QUEUES, Account, Grant, Role
from xqueue_server.models.queue import Queue
from xqueue_server.storage import Storage, accounts, browsing, queues

LMS_ON_Q = Grant(role=Role.LMS, queue="q")
GRADER_ON_Q = Grant(role=Role.GRADER, queue="q")
GRADER_ON_ALL = Grant(role=Role.GRADER, queue=ALL_QUEUES)
ACTOR = "operator test"


@pytest.fixture(autouse=True)
def _queues(storage: Storage) -> None:
    with storage.write() as tx:
        for name in ("q", "other"):
            queues.add(tx, Queue(name=name), actor=ACTOR)


def add(storage: Storage, *grants: Grant, name: str = "lms") -> Account:
    with storage.write() as tx:
        return accounts.add(tx, name=name, password_hash="hash", grants=grants, actor=ACTOR)


def read(storage: Storage, name: str = "lms") -> Account:
    with storage.read() as tx:
        return accounts.get(tx, name)


def events_of(storage: Storage, name: str = "lms") -> list[str]:
    with storage.read() as tx:
        found = browsing.latest_events(tx, subject=f"account {name}")
    return [f"{e.why}: {e.detail}" if e.detail else e.why for e in reversed(found)]


def test_an_added_account_is_found_by_name_and_by_id(storage: Storage) -> None:
    added = add(storage, LMS_ON_Q, GRADER_ON_ALL)
    with storage.read() as tx:
        assert accounts.by_id(tx, added.id) == accounts.by_name(tx, "lms")
        found = accounts.by_id(tx, added.id)
    assert found is not None
    assert found.active
    assert set(found.grants) == {LMS_ON_Q, GRADER_ON_ALL}


def test_an_account_without_grants_is_found_too(storage: Storage) -> None:
    assert add(storage).grants == ()


def test_an_account_is_read_with_its_grants_in_one_statement(storage: Storage) -> None:
    account = add(storage, LMS_ON_Q, GRADER_ON_Q, GRADER_ON_ALL)
    statements: list[str] = []
    event.listen(
        storage.engine, "before_cursor_execute", lambda *args: statements.append(str(args[2]))
    )
    with storage.read() as tx:
        accounts.by_id(tx, account.id)
    assert len([s for s in statements if s.startswith("SELECT")]) == 1


@pytest.mark.parametrize("name", ["nobody", "", "a\0b", "\ud800", "x" * 200, "a b", "'; --"])
def test_an_unknown_or_impossible_name_is_nobody(storage: Storage, name: str) -> None:
    with storage.read() as tx:
        assert accounts.by_name(tx, name) is None


def test_an_unknown_id_is_nobody(storage: Storage) -> None:
    with storage.read() as tx:
        assert accounts.by_id(tx, 4711) is None


def test_a_name_can_be_taken_once(storage: Storage) -> None:
    add(storage)
    with pytest.raises(Conflict, match="exists already"):
        add(storage)


@pytest.mark.parametrize("name", ["", "with space", "a\nb", "x" * 129])
def test_an_unusable_name_is_refused(storage: Storage, name: str) -> None:
    with pytest.raises(InvalidRequest, match="can not be an account's name"):
        add(storage, name=name)


def test_a_grant_on_an_unknown_queue_is_refused_with_the_known_ones(storage: Storage) -> None:
    with pytest.raises(NotFound, match="Queue 'nope' not found; there are: other, q"):
        add(storage, Grant(role=Role.LMS, queue="nope"))
    add(storage)
    with pytest.raises(NotFound, match="Queue 'nope' not found"), storage.write() as tx:
        accounts.grant(tx, "lms", [Grant(role=Role.LMS, queue="nope")], actor=ACTOR)


def test_granting_adds_what_is_missing(storage: Storage) -> None:
    add(storage, LMS_ON_Q)
    with storage.write() as tx:
        accounts.grant(tx, "lms", [LMS_ON_Q, GRADER_ON_Q], actor=ACTOR)
    assert set(read(storage).grants) == {LMS_ON_Q, GRADER_ON_Q}
    assert events_of(storage) == ["added: lms on q", "granted: grader on q"]


def test_granting_what_is_there_changes_and_records_nothing(storage: Storage) -> None:
    add(storage, LMS_ON_Q)
    with storage.write() as tx:
        accounts.grant(tx, "lms", [LMS_ON_Q], actor=ACTOR)
    assert events_of(storage) == ["added: lms on q"]


def test_revoking_takes_only_what_is_named(storage: Storage) -> None:
    add(storage, LMS_ON_Q, GRADER_ON_Q)
    with storage.write() as tx:
        accounts.revoke(tx, "lms", [GRADER_ON_Q], actor=ACTOR)
    assert read(storage).grants == (LMS_ON_Q,)
    assert events_of(storage)[-1] == "revoked: grader on q"


def test_revoking_one_queue_of_a_grant_for_all_is_refused(storage: Storage) -> None:
    add(storage, GRADER_ON_ALL)
    refused = pytest.raises(Conflict, match=r"no grant grader on q; it has grader on \*")
    with refused, storage.write() as tx:
        accounts.revoke(tx, "lms", [GRADER_ON_Q], actor=ACTOR)
    assert read(storage).grants == (GRADER_ON_ALL,)


def test_a_new_password_raises_the_credential_version(storage: Storage) -> None:
    before = add(storage)
    with storage.write() as tx:
        accounts.set_password(tx, "lms", "new hash", actor=ACTOR)
    after = read(storage)
    assert after.password_hash == "new hash"
    assert after.credential_version == before.credential_version + 1
    assert events_of(storage)[-1] == "password set"


def test_disabling_and_enabling_each_raise_the_credential_version(storage: Storage) -> None:
    first = add(storage).credential_version
    with storage.write() as tx:
        accounts.set_active(tx, "lms", False, actor=ACTOR)
    disabled = read(storage)
    with storage.write() as tx:
        accounts.set_active(tx, "lms", True, actor=ACTOR)
    enabled = read(storage)
    assert (disabled.active, enabled.active) == (False, True)
    versions = [first, disabled.credential_version, enabled.credential_version]
    assert versions == [first, first + 1, first + 2]
    assert events_of(storage)[-2:] == ["disabled", "enabled"]


def test_enabling_an_active_account_ends_no_session(storage: Storage) -> None:
    before = add(storage)
    with storage.write() as tx:
        accounts.set_active(tx, "lms", True, actor=ACTOR)
    assert read(storage) == before
    assert events_of(storage) == ["added"]


def test_changing_one_account_leaves_the_others_alone(storage: Storage) -> None:
    other = add(storage, GRADER_ON_Q, name="other")
    add(storage, LMS_ON_Q)
    with storage.write() as tx:
        accounts.set_password(tx, "lms", "new", actor=ACTOR)
        accounts.set_active(tx, "lms", False, actor=ACTOR)
        accounts.revoke(tx, "lms", [LMS_ON_Q], actor=ACTOR)
        accounts.remove(tx, "lms", actor=ACTOR)
    assert read(storage, "other") == other


def test_a_rehash_keeps_the_credential_version(storage: Storage) -> None:
    before = add(storage)
    with storage.write() as tx:
        assert accounts.rehash(tx, before, "better hash", actor=ACTOR)
    assert read(storage) == dataclasses.replace(before, password_hash="better hash")


def test_a_rehash_never_undoes_a_change_of_password(storage: Storage) -> None:
    stale = add(storage)
    with storage.write() as tx:
        accounts.set_password(tx, "lms", "changed", actor=ACTOR)
        assert not accounts.rehash(tx, stale, "better hash of the old one", actor=ACTOR)
    assert read(storage).password_hash == "changed"


def test_a_removed_account_and_its_grants_are_gone(storage: Storage) -> None:
    add(storage, LMS_ON_Q)
    with storage.write() as tx:
        accounts.remove(tx, "lms", actor=ACTOR)
    assert events_of(storage)[-1] == "removed"
    assert add(storage).grants == ()


def test_the_id_of_a_removed_account_is_never_given_again(storage: Storage) -> None:
    removed = add(storage)
    with storage.write() as tx:
        accounts.remove(tx, "lms", actor=ACTOR)
    assert add(storage).id != removed.id


@pytest.mark.parametrize("act", ["grant", "revoke", "set_password", "set_active", "remove"])
def test_no_act_works_on_an_unknown_account(storage: Storage, act: str) -> None:
    argument = {"grant": [LMS_ON_Q], "revoke": [], "set_password": "h", "set_active": True}
    given = [argument[act]] if act in argument else []
    with pytest.raises(NotFound, match="Account 'nobody' not found"), storage.write() as tx:
        getattr(accounts, act)(tx, "nobody", *given, actor=ACTOR)


def test_all_accounts_are_listed_by_name_with_their_grants(storage: Storage) -> None:
    add(storage, GRADER_ON_Q, name="zoe")
    add(storage, LMS_ON_Q, GRADER_ON_Q, name="anna")
    add(storage, name="maria")
    with storage.read() as tx:
        listed = accounts.all_accounts(tx)
    assert [(a.name, len(a.grants)) for a in listed] == [("anna", 2), ("maria", 0), ("zoe", 1)]


def test_the_queues_of_an_account_are_those_with_a_role_of_the_wire(storage: Storage) -> None:
    operator_on_all = Grant(role=Role.OPERATOR, queue=ALL_QUEUES)
    by_grant = {
        "one": [LMS_ON_Q, operator_on_all],
        "every": [GRADER_ON_ALL],
        "operator": [operator_on_all],
    }
    found = {}
    for name, granted in by_grant.items():
        account = add(storage, *granted, name=name)
        with storage.read() as tx:
            found[name] = accounts.valid_queue_names(tx, account)
    assert found == {"one": ["q"], "every": ["other", "q"], "operator": []}


def test_a_grant_on_a_removed_queue_counts_for_nothing(storage: Storage) -> None:
    account = add(storage, LMS_ON_Q)
    with storage.write() as tx:
        queues.remove(tx, "q", actor=ACTOR)
        assert accounts.valid_queue_names(tx, account) == []


def test_an_address_is_set_and_removed_and_the_record_does_not_say_which(
    storage: Storage,
) -> None:
    with storage.write() as tx:
        accounts.add(
            tx, name="jane", password_hash="h", grants=(), actor=ACTOR, email="jane@example.org"
        )
    assert read(storage, "jane").email == "jane@example.org"
    for email in (None, None, "j@x.org"):
        with storage.write() as tx:
            accounts.set_email(tx, "jane", email, actor=ACTOR)
        assert read(storage, "jane").email == email
    assert events_of(storage, "jane") == ["added", "e-mail set", "e-mail removed", "e-mail set"]
    assert "j@x.org" not in repr(read(storage, "jane"))


@pytest.mark.parametrize("email", ["", "jane", "a b@x.org", "a@b@c", "a\0@x", "x" * 250 + "@x.org"])
def test_what_is_no_address_is_refused(storage: Storage, email: str) -> None:
    add(storage)
    with pytest.raises(InvalidRequest, match="no e-mail address"), storage.write() as tx:
        accounts.set_email(tx, "lms", email, actor=ACTOR)
