"""Which account may do what, seen through the web: a queue not granted looks like none at all."""

from __future__ import annotations

import pytest

from tests.server.builders import QUEUE, add_account, add_queue, lms_header
from tests.server.web_client import Answer, Caller, HandedOut, Server
from xqueue_server.models.account import ALL_QUEUES, Grant, Role
from xqueue_server.storage import accounts

ABSENT = "no-such-queue"


@pytest.fixture
def elsewhere(server: Server) -> Caller:
    """An account with both roles, on another queue only."""
    add_queue(server.desk.storage, "other")
    return server.caller(
        add_account(server.desk.storage, "elsewhere", Role.LMS, Role.GRADER, queue="other")
    )


def test_submitting_to_a_queue_not_granted_is_answered_as_if_it_did_not_exist(
    server: Server, elsewhere: Caller
) -> None:
    refused = elsewhere.submit(lms_header(queue=QUEUE))
    unknown = elsewhere.submit(lms_header(queue=ABSENT))
    assert _same(refused, unknown, QUEUE, ABSENT)
    assert refused.content == f"Queue '{QUEUE}' not found"
    assert server.desk.count("submissions") == 0


def test_asking_the_length_of_a_queue_not_granted_names_only_ones_own(elsewhere: Caller) -> None:
    refused = elsewhere.get("get_queuelen", queue_name=QUEUE)
    assert refused == elsewhere.get("get_queuelen", queue_name=ABSENT)
    assert refused.content == "Valid queue names are: other"


def test_fetching_from_a_queue_not_granted_is_answered_as_if_it_did_not_exist(
    server: Server, elsewhere: Caller
) -> None:
    server.lms.submit()
    refused = elsewhere.try_fetch(QUEUE)
    assert _same(refused, elsewhere.try_fetch(ABSENT), QUEUE, ABSENT)
    assert server.grader.fetch().submission_id == 1


@pytest.mark.parametrize("endpoint", ["put_result", "renew_lease", "put_failure"])
def test_a_submission_of_a_queue_not_granted_does_not_exist(
    server: Server, elsewhere: Caller, endpoint: str
) -> None:
    server.lms.submit()
    given = server.grader.fetch()
    absent = HandedOut(submission_id=10**6, key=given.key, body="", files_json="{}")
    refused, unknown = (
        elsewhere.post(endpoint, xqueue_header=h.header, xqueue_body="{}", kind="grader")
        for h in (given, absent)
    )
    assert refused == unknown == Answer(code=1, content="Submission does not exist")
    assert server.desk.see(given.submission_id).state == "leased"


def test_an_lms_can_not_grade_and_a_grader_can_not_submit(server: Server) -> None:
    assert server.grader.submit() == Answer(code=1, content=f"Queue '{QUEUE}' not found")
    server.lms.submit()
    assert server.lms.try_fetch() == Answer(code=1, content=f"Queue '{QUEUE}' not found")
    given = server.grader.fetch()
    assert server.lms.put(given) == Answer(code=1, content="Submission does not exist")


def test_both_roles_may_ask_for_the_queue_length(server: Server) -> None:
    server.lms.submit()
    assert server.lms.get("get_queuelen", queue_name=QUEUE) == Answer(code=0, content=1)
    assert server.grader.get("get_queuelen", queue_name=QUEUE) == Answer(code=0, content=1)


def test_an_operator_has_no_rights_on_the_wire(server: Server) -> None:
    operator = server.caller(add_account(server.desk.storage, "ann", Role.OPERATOR))
    assert operator.submit().code == 1
    assert operator.try_fetch().code == 1
    assert operator.get("get_queuelen", queue_name=QUEUE).content == "Valid queue names are: "


def test_an_account_without_grants_may_do_nothing(server: Server) -> None:
    nobody = server.caller(add_account(server.desk.storage, "new"))
    assert nobody.submit().code == 1
    assert nobody.try_fetch().code == 1
    assert nobody.get("get_queuelen", queue_name=QUEUE).code == 1


@pytest.mark.parametrize("name", ["*", "%", "_", "pytho_", "PYTHON", "python ", "", "'--", "ä"])
def test_a_queue_is_known_by_its_exact_name_alone(server: Server, name: str) -> None:
    assert server.grader.try_fetch(name).content == f"Queue '{name}' not found"
    assert server.grader.get("get_queuelen", queue_name=name).code == 1


def test_a_grant_taken_back_counts_at_once(server: Server) -> None:
    server.lms.submit()
    grants = [Grant(role=Role.GRADER, queue=ALL_QUEUES)]
    with server.desk.storage.write() as tx:
        accounts.revoke(tx, "grader", grants, actor="test")
    assert server.grader.try_fetch().code == 1


@pytest.mark.parametrize("change", ["disabled", "password", "removed"])
def test_a_session_ends_at_once_when_the_account_changes(server: Server, change: str) -> None:
    assert server.lms.submit().code == 0
    with server.desk.storage.write() as tx:
        if change == "disabled":
            accounts.set_active(tx, "lms", False, actor="test")
        elif change == "password":
            accounts.set_password(tx, "lms", "another hash", actor="test")
        else:
            accounts.remove(tx, "lms", actor="test")
    for method, path in (("POST", "submit"), ("GET", "get_queuelen"), ("GET", "get_submission")):
        response = server.lms.raw(method, f"/xqueue/{path}/")
        assert response.status_code == 302
        assert response.headers["Location"] == f"/xqueue/login/?next=/xqueue/{path}/"


def test_an_account_with_the_name_of_a_removed_one_does_not_inherit_its_sessions(
    server: Server,
) -> None:
    with server.desk.storage.write() as tx:
        accounts.remove(tx, "grader", actor="test")
    add_account(server.desk.storage, "grader", Role.GRADER)
    assert server.grader.raw("GET", "/xqueue/get_submission/").status_code == 302


def test_names_in_answers_are_no_markup_to_a_browser(server: Server) -> None:
    """The content type is HTML by contract, and a queue name comes back as it was asked for."""
    response = server.grader.raw("GET", "/xqueue/get_submission/?queue_name=<script>1</script>")
    assert "sandbox" in response.headers["Content-Security-Policy"]


def _same(one: Answer, other: Answer, name: str, other_name: str) -> bool:
    """Equal but for the name that was asked for."""
    return one.code == other.code and one.content.replace(name, other_name) == other.content
