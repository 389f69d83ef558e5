"""`xqueue-server account`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.accounts.test_passwords import django_hash
from tests.cli.stored import a_queue
from xqueue_server.accounts.signin import SignIn
from xqueue_server.errors import NotSignedIn
from xqueue_server.storage import Storage, browsing

BOTH_ROLES = ("--role", "lms", "--role", "grader")
STDIN = "--password-stdin"


@pytest.fixture(autouse=True)
def _queue(storage: Storage) -> None:
    a_queue(storage)


def add(run: Any, *options: str, name: str = "edx", password: str = "secret\n") -> None:
    run("account", "add", name, *(options or (*BOTH_ROLES, "--queue", "q")), STDIN, input=password)


def can_sign_in(storage: Storage, password: str, name: str = "edx") -> bool:
    try:
        return bool(SignIn(storage, b"s" * 32).verify(name, password, "::1"))
    except NotSignedIn:
        return False


def test_one_account_may_serve_lms_and_graders(run: Any, run_json: Any, storage: Storage) -> None:
    add(run)
    shown = run_json("account", "show", "edx")
    assert shown["grants"] == [
        {"role": "grader", "queue": "q"},
        {"role": "lms", "queue": "q"},
    ]
    assert (shown["active"], shown["queues"]) == (True, ["q"])
    assert can_sign_in(storage, "secret")


def test_a_proctor_is_granted_courses(run: Any, run_json: Any) -> None:
    course = "course-v1:edX+DemoX+2026"
    add(run, "--role", "proctor", "--course", course, name="jane")
    shown = run_json("account", "show", "jane")
    assert (shown["grants"], shown["course_grants"]) == (
        [],
        [{"role": "proctor", "course": course}],
    )
    said = run("account", "grant", "jane", "--role", "viewer", "--course", "course-v1:X+Y+Z")
    assert said.stdout == (
        f"Account jane has: viewer on course course-v1:X+Y+Z; proctor on course {course}\n"
    )
    revoking = ("account", "revoke", "jane", "--role", "proctor", "--course", course)
    assert "proctor" not in run(*revoking).stdout
    assert "is not proctor on course" in run(*revoking, exit_code=1).output
    assert "viewer on course" in run("account", "list").stdout
    for options, code, why in (
        (("--role", "proctor", "--all-queues"), 2, "proctor is a role on courses"),
        (("--role", "viewer", "--course", "c", "--queue", "q"), 2, "either --course or queues"),
        (("--role", "lms", "--course", "c"), 1, "On a course a role is one of"),
        (("--role", "proctor", "--course", "two words"), 1, "A course is written like"),
    ):
        assert why in run("account", "grant", "jane", *options, exit_code=code).output


def test_nothing_is_allowed_unless_queues_are_named(run: Any) -> None:
    refused = run("account", "add", "edx", *BOTH_ROLES, STDIN, input="secret", exit_code=2)
    assert "Nothing is allowed by default" in refused.stderr
    both = ("--queue", "q", "--all-queues")
    run("account", "add", "edx", *BOTH_ROLES, *both, STDIN, input="secret", exit_code=2)
    star = ("--queue", "*")
    refused = run("account", "add", "edx", *BOTH_ROLES, *star, STDIN, input="s", exit_code=2)
    assert "--all-queues" in refused.stderr


def test_an_account_without_a_role_is_wrong_usage(run: Any) -> None:
    run("account", "add", "edx", "--all-queues", STDIN, input="secret", exit_code=2)


def test_an_unknown_queue_is_refused_with_the_valid_names(run: Any, storage: Storage) -> None:
    a_queue(storage, "other")
    options = (*BOTH_ROLES, "--queue", "nope", STDIN)
    refused = run("account", "add", "edx", *options, input="secret", exit_code=1)
    assert refused.stderr == "Error: Queue 'nope' not found; there are: other, q\n"


def test_a_password_is_never_asked_for_without_a_terminal(run: Any) -> None:
    refused = run("account", "add", "edx", *BOTH_ROLES, "--all-queues", exit_code=2)
    assert "--password-stdin" in refused.stderr


@pytest.mark.parametrize("given", ["secret", "secret\n", "secret\r\n"])
def test_one_line_end_after_the_password_does_not_count(
    run: Any, storage: Storage, given: str
) -> None:
    add(run, password=given)
    assert can_sign_in(storage, "secret")


@pytest.mark.parametrize("given", ["", "\n", "two\nlines\n", "x" * 1025, "nul\0"])
def test_an_unusable_password_is_refused(run: Any, given: str) -> None:
    options = (*BOTH_ROLES, "--queue", "q", STDIN)
    refused = run("account", "add", "edx", *options, input=given, exit_code=1)
    assert refused.stderr.startswith("Error: ")


def test_neither_password_nor_hash_is_ever_shown(run: Any) -> None:
    add(run)
    shown = [
        run("account", *command, *form).output
        for command in (("list",), ("show", "edx"))
        for form in ((), ("--json",))
    ]
    shown.append(run("event", "list", "--json").output)
    assert not [text for text in shown if "argon2" in text or "secret" in text]


def test_the_list_shows_who_may_what(run: Any) -> None:
    add(run)
    add(run, "--role", "operator", "--all-queues", name="anna")
    lines = run("account", "list").stdout.splitlines()
    assert [line.split(maxsplit=2) for line in lines] == [
        ["NAME", "ACTIVE", "GRANTS"],
        ["anna", "yes", "operator on all queues"],
        ["edx", "yes", "grader+lms on q"],
    ]


def test_roles_are_granted_and_revoked(run: Any, run_json: Any, storage: Storage) -> None:
    a_queue(storage, "other")
    add(run, "--role", "grader", "--queue", "q")
    run("account", "grant", "edx", "--role", "lms", "--all-queues")
    run("account", "revoke", "edx", "--role", "grader", "--queue", "q")
    assert run_json("account", "show", "edx")["queues"] == ["other", "q"]
    left = run("account", "revoke", "edx", "--role", "lms", "--all-queues")
    assert left.stdout == "Account edx has: no grants\n"


def test_revoking_what_only_a_grant_for_all_gives_is_refused(run: Any) -> None:
    add(run, "--role", "lms", "--all-queues")
    refused = run("account", "revoke", "edx", "--role", "lms", "--queue", "q", exit_code=1)
    assert "it has lms on *" in refused.stderr


def test_a_set_password_replaces_the_old_one(run: Any, storage: Storage) -> None:
    add(run)
    run("account", "set-password", "edx", STDIN, input="new\n")
    assert not can_sign_in(storage, "secret")
    assert can_sign_in(storage, "new")


def test_a_disabled_account_can_not_sign_in_until_it_is_enabled(run: Any, storage: Storage) -> None:
    add(run)
    run("account", "disable", "edx")
    assert not can_sign_in(storage, "secret")
    run("account", "enable", "edx")
    assert can_sign_in(storage, "secret")


def test_a_removed_account_is_gone(run: Any) -> None:
    add(run)
    run("account", "remove", "edx")
    refused = run("account", "show", "edx", exit_code=1)
    assert refused.stderr == "Error: Account 'edx' not found\n"


@pytest.fixture
def users(tmp_path: Path) -> Path:
    file = tmp_path / "users.json"
    entries = [
        {"username": "old", "password": django_hash("old secret")},
        {"username": "retired", "password": django_hash("x"), "is_active": False},
    ]
    file.write_text(json.dumps(entries))
    return file


def imported(run: Any, file: Path, exit_code: int = 0) -> Any:
    options = ("--file", str(file), *BOTH_ROLES, "--queue", "q")
    return run("account", "import-django", *options, exit_code=exit_code)


def test_imported_accounts_keep_their_passwords_and_activity(
    run: Any, run_json: Any, storage: Storage, users: Path
) -> None:
    imported(run, users)
    assert can_sign_in(storage, "old secret", "old")
    assert [(a["name"], a["active"]) for a in run_json("account", "list")] == [
        ("old", True),
        ("retired", False),
    ]


def test_what_django_dumped_is_understood(run: Any, storage: Storage, users: Path) -> None:
    entries = json.loads(users.read_text())
    dumped = [{"model": "auth.user", "pk": i, "fields": e} for i, e in enumerate(entries)]
    users.write_text(json.dumps(dumped))
    imported(run, users)
    assert can_sign_in(storage, "old secret", "old")


def test_an_import_can_come_from_standard_input(run: Any, storage: Storage, users: Path) -> None:
    options = ("--file", "-", *BOTH_ROLES, "--queue", "q")
    run("account", "import-django", *options, input=users.read_text())
    assert can_sign_in(storage, "old secret", "old")


def test_a_second_import_leaves_accounts_as_they_are(
    run: Any, storage: Storage, users: Path
) -> None:
    imported(run, users)
    run("account", "set-password", "old", STDIN, input="changed")
    assert "old exists already" in imported(run, users).stdout
    assert can_sign_in(storage, "changed", "old")


def test_what_can_not_be_imported_is_named_and_the_rest_is_imported(
    run: Any, storage: Storage, users: Path
) -> None:
    entries = json.loads(users.read_text())
    entries.append({"username": "md5", "password": "md5$a$b"})
    entries.append({"username": "bad name", "password": django_hash("x")})
    users.write_text(json.dumps(entries))
    refused = imported(run, users, exit_code=1)
    assert "Can not import 'md5'" in refused.stderr
    assert "Can not import 'bad name'" in refused.stderr
    assert can_sign_in(storage, "old secret", "old")


@pytest.mark.parametrize(
    "text", ["", "not json", "{}", "[1]", '[{"username": "x"}]', '[{"username": 1, "password": 2}]']
)
def test_an_unusable_file_changes_nothing(run: Any, run_json: Any, users: Path, text: str) -> None:
    users.write_text(text)
    refused = imported(run, users, exit_code=1)
    assert refused.stderr.startswith(f"Error: {users}")
    assert run_json("account", "list") == []


def test_it_works_as_a_process_and_the_record_names_the_operator(
    run_process: Any, storage: Storage
) -> None:
    added = run_process(
        "account", "add", "edx", *BOTH_ROLES, "--queue", "q", STDIN, input="secret\n"
    )
    assert (added.returncode, added.stderr) == (0, "")
    assert can_sign_in(storage, "secret")
    with storage.read() as tx:
        assert browsing.latest_events(tx, subject="account edx")[0].actor.startswith("operator ")


def test_an_address_is_given_changed_and_taken_away(run: Any, run_json: Any) -> None:
    add(run, *BOTH_ROLES, "--queue", "q", "--email", "jane@example.org")
    assert run_json("account", "show", "edx")["email"] == "jane@example.org"
    run("account", "set-email", "edx", "j@x.org")
    assert "j@x.org" in run("account", "show", "edx").stdout
    run("account", "set-email", "edx", "--none")
    assert run_json("account", "show", "edx")["email"] is None
    for wrong in ((), ("j@x.org", "--none")):
        assert "one of the two" in run("account", "set-email", "edx", *wrong, exit_code=2).output
    assert "no e-mail" in run("account", "set-email", "edx", "jane", exit_code=1).output
