"""`xqueue-server token`: the secret is seen once, and only by who makes it."""

from __future__ import annotations

import stat
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.stored import a_queue
from xqueue_server.models.account import Role
from xqueue_server.models.api_token import TOKEN, token_hash
from xqueue_server.storage import Storage, tokens

CREATE = ("token", "create", "--account", "alice", "--role", "author", "--queue", "q")


@pytest.fixture
def alice(run: Run, storage: Storage) -> None:
    a_queue(storage)
    run("account", "add", "alice", "--role", "author", "--queue", "q", "--password-stdin",
        input="a long password\n")  # fmt: skip


def holder_of(storage: Storage, secret: str) -> tokens.TokenHolder | None:
    with storage.read() as tx:
        return tokens.holder(tx, token_hash(secret))


@pytest.mark.usefixtures("alice")
def test_the_secret_is_printed_once_and_works(run: Run, storage: Storage) -> None:
    made = run(*CREATE)
    secret = made.stdout.strip()
    assert TOKEN.fullmatch(secret)
    holder = holder_of(storage, secret)
    assert holder is not None
    assert holder.account.may(frozenset({Role.AUTHOR}), "q")
    for command in (("token", "list"), ("token", "list", "--json"), ("event", "list")):
        assert secret not in run(*command).output


@pytest.mark.usefixtures("alice")
def test_a_file_for_the_secret_is_private_and_never_overwritten(
    run: Run, storage: Storage, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    made = run(*CREATE, "--out", str(path))
    assert "xqt_" not in made.output
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert holder_of(storage, path.read_text().strip()) is not None
    run(*CREATE, "--out", str(path), exit_code=1)
    run(*CREATE, "--out", str(tmp_path / "absent" / "token"), exit_code=1)
    with storage.read() as tx:
        assert len(tokens.all_tokens(tx)) == 1  # one that could not be written is none


@pytest.mark.usefixtures("alice")
def test_a_token_for_what_the_account_may_not_do_is_refused(run: Run) -> None:
    refused = run("token", "create", "--account", "alice", "--role", "operator", "--queue", "q",
                  exit_code=1)  # fmt: skip
    assert "account grant alice --role operator --queue q" in refused.stderr
    run("token", "create", "--account", "bob", "--role", "author", "--queue", "q", exit_code=1)
    run("token", "create", "--account", "alice", "--role", "author", exit_code=2)


@pytest.mark.usefixtures("alice")
@pytest.mark.parametrize("expires", ["0d", "367d", "1y", "d", "-1d", "30", "9000h"])
def test_a_lifetime_is_hours_days_or_weeks_up_to_a_year(run: Run, expires: str) -> None:
    run(*CREATE, "--expires", expires, exit_code=2)


@pytest.mark.usefixtures("alice")
def test_the_lifetime_counts_from_now(run: Run, run_json: Callable[..., Any]) -> None:
    run(*CREATE, "--expires", "2w")
    (listed,) = run_json("token", "list")
    assert listed["account"] == "alice"
    assert listed["scopes"] == [{"role": "author", "queue": "q"}]
    made, ends = (datetime.fromisoformat(listed[k]) for k in ("created_at", "expires_at"))
    assert abs(ends - made - timedelta(weeks=2)) < timedelta(minutes=1)


@pytest.mark.usefixtures("alice")
def test_a_revoked_token_is_listed_as_such(
    run: Run, storage: Storage, run_json: Callable[..., Any]
) -> None:
    secret = run(*CREATE).stdout.strip()
    run("token", "revoke", "1")
    assert holder_of(storage, secret) is None
    assert run_json("token", "list")[0]["revoked_at"]
    assert "before" in run("token", "revoke", "1", exit_code=1).stderr
    run("token", "revoke", "2", exit_code=1)
