"""`xqueue-server lms`, `exam` and `attempt`."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from socket import socket
from typing import Any

import pytest
from sqlalchemy import text

from proctoring_hooks.attempt import Attempt
from proctoring_hooks.exam import Exam, ExamType
from proctoring_hooks.obscuring import obscured_id
from proctoring_hooks.statuses import Status
from tests.cli.conftest import Run, RunProcess
from tests.cli.stored import a_queue
from tests.proctoring.conftest import COURSE, EXAM, LMS, SECRET_KEY, MakeExam, make_exam
from tests.proctoring.exam_desk import ExamDesk
from tests.proctoring.sitting import now, started
from tests.server.builders import add_queue, open_desk
from xqueue_server.instant import ManualClock, to_datetime
from xqueue_server.storage import Storage
from xqueue_server.storage.proctoring import ProctoringStore

__all__ = ["make_exam"]

SECRETS = {
    "client-secret": "secret-they-sign-in-with-and-sign",
    "our-client-secret": "secret-we-sign-in-with-over-there",
    "obfuscation-key": "key-they-obscure-with",
}
ANEW = "a" * 32
RunJson = Callable[..., Any]


@pytest.fixture
def store(storage: Storage) -> ProctoringStore:
    """With the key that `environment` sets."""
    opened = ProctoringStore(storage, b"s" * 32)
    with opened.write() as session:
        session.lmses.add(LMS)
    return opened


@pytest.fixture
def secrets(tmp_path: Path) -> list[str]:
    """Options that name files with `SECRETS`."""
    options = []
    for name, secret in SECRETS.items():
        path = tmp_path / name
        path.write_text(f"{secret}\n")
        options += [f"--{name}-file", str(path)]
    return options


@pytest.fixture
def exam(make_exam: MakeExam) -> Exam:
    return make_exam()


@pytest.fixture
def attempt(store: ProctoringStore, exam: Exam, clock: ManualClock) -> Attempt:
    """In progress, by the clock that commands have."""
    clock.advance((datetime.now(UTC) - to_datetime(clock.now_us() or 0)).total_seconds())
    return started(store, exam)


def everything(storage: Storage, table: str) -> str:
    with storage.read() as tx:
        return str([row._mapping for row in tx.all(text(f"SELECT * FROM {table}"))])


# -- lms -----------------------------------------------------------------------------------------


ENTERED = ("lms", "add", "edx", "--url", "https://lms.example.org/", "--client-id", "theirs")


def test_an_lms_is_entered_changed_and_removed_and_its_secrets_are_shown_to_nobody(
    run: Run, run_json: RunJson, storage: Storage, secrets: list[str]
) -> None:
    said = [run(*ENTERED, *secrets)]
    assert "not in XQUEUE_LMS_ORIGINS" in said[0].stderr
    found = run_json("lms", "show", "edx")
    assert (found["base_url"], found["origins"]) == (
        "https://lms.example.org",
        ["https://lms.example.org"],
    )
    assert (found["our_client_id"], found["backend"]) == ("theirs", "xqueue")
    assert found["has_obfuscation_key"] is True
    assert found["loads_worker"] is False
    assert found["forwards_exams"] is False
    run("lms", "set", "edx", "--forward")
    assert run_json("lms", "show", "edx")["forwards_exams"] is True
    run("lms", "set", "edx", "--worker")
    assert run_json("lms", "show", "edx")["loads_worker"] is True
    said.append(run("lms", "set", "edx", "--backend", "watchers", "--events"))
    said.append(run("lms", "set", "edx", "--page-origin", "https://apps.example.org"))
    assert run_json("lms", "show", "edx")["page_origins"] == ["https://apps.example.org"]
    said += [run("lms", "list"), run("lms", "show", "edx"), run("lms", "list", "--json")]
    assert run_json("lms", "show", "edx")["backend"] == "watchers"
    said.append(run("event", "list", "--subject", "lms edx"))
    assert "backend, sends_events" in said[-1].stdout
    with storage.read() as tx:
        kept = ProctoringStore(storage, b"s" * 32).of(tx).lms("edx")
    assert kept.obfuscation_key == SECRETS["obfuscation-key"]
    shown = "".join(each.output for each in said) + everything(storage, "lmses")
    assert not [secret for secret in SECRETS.values() if secret in shown]
    run("lms", "remove", "edx")
    assert "No LMS edx" in run("lms", "show", "edx", exit_code=1).output


def test_secrets_are_replaced_from_standard_input(
    run: Run, store: ProctoringStore, storage: Storage
) -> None:
    said = run("lms", "rotate", "edx", "--client-secret-file", "-", input=f"{ANEW}\n")
    assert ANEW not in said.output
    with store.read() as session:
        found = session.lms("edx")
    assert (found.client_secret, found.our_client_secret) == (ANEW, LMS.our_client_secret)
    assert "replaced" in run("event", "list", "--subject", "lms edx").stdout


@pytest.mark.parametrize("name", ["client-secret", "our-client-secret"])
def test_a_secret_that_can_be_guessed_is_refused(
    run: Run, store: ProctoringStore, secrets: list[str], tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("x" * 31)
    add = ("lms", "add", "b", "--url", "https://b.example", "--client-id", "b", *secrets)
    for command in (add, ("lms", "rotate", "edx", f"--{name}-file", str(tmp_path / name))):
        said = run(*command, exit_code=1).output
        assert f"--{name}-file: a secret has at least 32 characters" in said
        assert "secrets.token_hex(32)" in said
    with store.read() as session:
        assert session.lmses.all() == [LMS]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (("lms", "rotate", "edx"), "Say which secret"),
        (("lms", "set", "edx"), "Say what to change"),
        (("lms", "set", "edx", "--url", "ftp://x"), "--url must be like"),
        (("lms", "set", "edx", "--origin", "https://a.example/x"), "--origin must be like"),
        (("lms", "set", "edx", "--page-origin", "apps.example"), "--page-origin must be like"),
        (("lms", "set", "edx", "--backend", "x" * 65), "--backend has 1 to 64"),
        (("lms", "set", "edx", "--jwt-issuer", "https://x"), "go together"),
        (("lms", "set", "nope", "--backend", "x"), "No LMS nope"),
        (("lms", "rotate", "edx", "--client-secret-file", "-"), "must hold the secret alone"),
        (
            ("lms", "rotate", "edx", "--client-secret-file", "-", "--obfuscation-key-file", "-"),
            "Standard input can be one secret only",
        ),
    ],
)
def test_what_can_not_be_of_an_lms_is_refused(
    run_process: RunProcess, store: ProctoringStore, more: tuple[str, ...], why: str
) -> None:
    done = run_process(*more)
    assert done.returncode in (1, 2)
    assert why in done.stderr


def test_an_lms_with_exams_stays_and_no_two_share_what_tells_them_apart(
    run: Run, store: ProctoringStore, exam: Exam, secrets: list[str]
) -> None:
    assert "has exams" in run("lms", "remove", "edx", exit_code=1).output
    another = ("lms", "add", "b", "--url", "https://b.example", "--client-id")
    assert "client id already" in run(*another, LMS.client_id, *secrets, exit_code=1).output
    same = ("lms", "add", "b", "--url", LMS.base_url, "--client-id", "b", *secrets)
    assert "is an origin of LMS edx" in run(*same, exit_code=1).output
    pages = ("lms", "add", "b", "--url", "https://b.example", "--client-id", "b")
    said = run(*pages, "--page-origin", LMS.base_url, *secrets, exit_code=1)
    assert f"{LMS.base_url} has pages of LMS edx already" in said.output


# -- exam ----------------------------------------------------------------------------------------


def test_exams_are_listed_and_shown(run: Run, run_json: RunJson, exam: Exam) -> None:
    (found,) = run_json("exam", "list", "--course", COURSE)
    assert (found["id"], found["exam_name"]) == (exam.id, "Final")
    assert run_json("exam", "list", "--lms", "other") == []
    assert "Final" in run("exam", "list").stdout
    shown = run("exam", "show", str(exam.id)).stdout
    assert "on_verified" not in shown
    assert "at_once" in shown
    assert "No such exam" in run("exam", "show", "99", exit_code=1).output


def test_terms_are_set_and_auto_pass_is_warned_of_loudly(
    run: Run, run_json: RunJson, exam: Exam
) -> None:
    of = str(exam.id)
    said = run("exam", "set", of, "--release", "on_verified", "--incident-policy", "two_strikes")
    assert said.stderr == ""
    said = run("exam", "set", of, "--review", "auto_pass", input="n\n", exit_code=1)
    assert "NOBODY watches or judges" in said.stderr
    assert run_json("exam", "show", of)["terms"]["review"] == "people"
    said = run("exam", "set", of, "--review", "auto_pass", "--yes")
    assert "NOBODY watches or judges" in said.stderr
    terms = run_json("exam", "show", of)["terms"]
    assert (terms["review"], terms["release"], terms["incident_policy"]) == (
        "auto_pass",
        "on_verified",
        "two_strikes",
    )
    for option, value, why in (
        ("--incident-policy", "nonsense", "neither a policy of ours"),
        ("--provider", "nobody", "No proctoring provider nobody"),
    ):
        assert why in run("exam", "set", of, option, value, exit_code=1).output
    assert "review=auto_pass" in run("event", "list", "--subject", f"exam {of}").stdout


def test_whether_onboarding_is_needed_is_set(run: Run, run_json: RunJson, exam: Exam) -> None:
    for option, expected in (("--needs-no-onboarding", False), ("--needs-onboarding", True)):
        said = run("exam", "set", str(exam.id), option).stdout
        assert f"needs_onboarding={expected}" in said
        assert run_json("exam", "show", str(exam.id))["terms"]["needs_onboarding"] is expected


def test_an_exam_with_open_attempts_gets_no_other_provider(
    run: Run, run_json: RunJson, exam: Exam, attempt: Attempt
) -> None:
    run("provider", "add", "nobody", "--plugin", "null")
    setting = ("exam", "set", str(exam.id), "--provider", "nobody")
    assert "1 attempt is open. Let them end" in run(*setting, exit_code=1).output
    assert run_json("exam", "show", str(exam.id))["terms"]["provider"] == ""
    run("attempt", "terminate", str(attempt.id), "--reason", "x")
    run(*setting)


def test_what_an_exam_holds_back_is_accepted_or_refused(
    run: Run,
    run_json: RunJson,
    storage: Storage,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XQUEUE_SECRET_KEY", SECRET_KEY.decode())
    add_queue(storage)
    at = ExamDesk(desk=open_desk(storage, clock), store=ProctoringStore(storage, SECRET_KEY))
    with at.store.write() as session:
        session.lmses.add(LMS)
        exam = session.exams.add(EXAM)
        other = session.exams.add(replace(EXAM, content_id="b", external_id="exam-2"))
    at.claim(exam)
    ids = [at.submit(user) for user in (18, 19, 20, 21)]
    for _ in ids:
        at.grade()
    of = ("--reason", "power cut")
    held, accept, refuse = (("exam", verb, str(exam.id)) for verb in ("held", "accept", "refuse"))
    assert [each["submission_id"] for each in run_json(*held)] == ids
    assert "no_attempt" in run(*held).stdout
    assert "looked" in run("event", "list", "--subject", f"exam {exam.id}").stdout
    one = (*accept, "--submission", str(ids[0]), *of)
    assert "Let 1 grade of" in run(*one).stdout
    assert "Let 0 grades of" in run(*one).stdout
    second = (*refuse, "--submission", str(ids[1]), *of)
    assert f"Refused submission {ids[1]}" in run(*second).stdout
    assert "does not wait for a decision" in run(*second, exit_code=1).output
    for verb in ("accept", "refuse"):
        wrong = ("exam", verb, str(other.id), "--submission", str(ids[2]), *of)
        assert "does not belong to exam" in run(*wrong, exit_code=1).output
    assert "one of the two" in run(*accept, *of, exit_code=2).output
    assert "all 2 grades" in run(*accept, "--all", *of, input="n\n", exit_code=1).output
    assert [at.states(each) for each in ids[2:]] == [["withheld"]] * 2
    assert "Let 2 grades of" in run(*accept, "--all", *of, "--yes").stdout
    assert [at.states(each) for each in ids] == [["pending"], ["withheld"], *[["pending"]] * 2]
    assert run_json(*held) == []
    assert "power cut" in run("submission", "show", str(ids[0])).stdout


def test_rules_and_staff_are_set_and_refusing_without_staff_is_warned_of(
    run: Run, run_json: RunJson, exam: Exam
) -> None:
    setting = ("exam", "set", str(exam.id))
    said = run(*setting, "--rule", "phone=No phone.", "--rule", "talk=No = no.")
    assert said.stdout.endswith("rules=phone,talk\n")
    said = run(*setting, "--unmatched", "refuse", "--rule", "talk=")
    assert "Warning: unmatched is refuse, and nobody is listed as staff" in said.stderr
    said = run(*setting, "--staff", "12, 7")
    assert said.stderr == ""
    terms = run_json("exam", "show", str(exam.id))["terms"]
    assert (terms["rules"], terms["staff"]) == ({"phone": "No phone."}, ["7", "12"])
    assert "Warning" in run(*setting, "--staff", "").stderr
    for option, value, code, why in (
        ("--rule", "phone", 2, "--rule is written KEY=SENTENCE"),
        ("--rule", "a b=x", 1, "is no key of a rule"),
        ("--rule", "walk=", 1, "there is no rule 'walk' to take away"),
        ("--staff", "jane", 2, "'jane' is no user id"),
    ):
        assert why in run(*setting, option, value, exit_code=code).output


def test_problems_and_queues_are_claimed_by_one_exam(
    run: Run, run_json: RunJson, storage: Storage, exam: Exam, make_exam: MakeExam
) -> None:
    a_queue(storage)
    of, other = str(exam.id), str(make_exam(content_id="b", external_id="exam-2").id)
    assert "claims problem p1" in run("exam", "claim", of, "--problem", "p1").stdout
    assert "has claimed before" in run("exam", "claim", of, "--problem", "p1").stdout
    said = run("exam", "claim", other, "--problem", "p1", exit_code=1)
    assert f"Exam {of} claims this problem" in said.output
    said = run("exam", "claim", of, "--queue", "q", input="n\n", exit_code=1)
    assert "EVERY submission to q" in said.stderr
    run("exam", "claim", of, "--queue", "q", "--yes")
    assert "no queue 'r'" in run("exam", "claim", of, "--queue", "r", "--yes", exit_code=1).output
    claimed = run_json("exam", "show", of)["claims"]
    assert [(each["kind"], each["value"]) for each in claimed] == [
        ("problem", "p1"),
        ("queue", "q"),
    ]
    run("exam", "unclaim", of, "--problem", "p1")
    assert "does not claim" in run("exam", "unclaim", of, "--problem", "p1", exit_code=1).output
    assert "one of the two" in run("exam", "claim", of, exit_code=2).output


def test_allowances_are_set_and_taken_away(run: Run, run_json: RunJson, exam: Exam) -> None:
    of = str(exam.id)
    run("exam", "allow", of, "17", "--multiplier", "1.5")
    (found,) = run_json("exam", "show", of)["allowances"]
    assert (found["user_id"], found["allowance"]) == (
        "17",
        {"kind": "time_multiplier", "value": 1.5},
    )
    run("exam", "allow", of, "17", "--none")
    assert run_json("exam", "show", of)["allowances"] == []
    assert "one of them" in run("exam", "allow", of, "17", exit_code=2).output
    assert "is the number" in run("exam", "allow", of, "jane", "--none", exit_code=2).output


def test_the_mark_sheet_of_an_exam_without_marks_has_its_headline(run: Run, exam: Exam) -> None:
    (headline,) = csv.reader(run("exam", "marks", str(exam.id)).stdout.splitlines())
    assert headline[:3] == ["learner", "problem", "score"]


# -- attempt -------------------------------------------------------------------------------------


def test_an_attempt_is_extended_terminated_and_judged(
    run: Run, run_json: RunJson, store: ProctoringStore, attempt: Attempt
) -> None:
    of = str(attempt.id)
    (listed,) = run_json("attempt", "list", "--status", "started", "--learner", "17")
    assert listed["id"] == attempt.id
    assert attempt.started_at is not None
    assert datetime.fromisoformat(listed["server_now"]) >= attempt.started_at
    run("attempt", "extend", of, "--minutes", "15", "--reason", "fire alarm")
    said = run("attempt", "terminate", of, "--reason", "second phone")
    assert said.stdout == f"Attempt {of} is second_review_required\n"
    said = run("attempt", "terminate", of, "--reason", "second phone")
    assert "nothing was changed" in said.stdout
    verdict = ("attempt", "review", of, "--verdict", "fail")
    assert "--by" in run(*verdict, exit_code=2).output
    run(*verdict, "--by", "jane@example.org", "--comment", "phone at 10:03")
    judged = now(store, attempt)
    assert (judged.status, judged.is_judged_by_a_person) == (Status.REJECTED, True)
    shown = run_json("attempt", "show", of)
    assert [row["action"] for row in shown["history"]][-3:] == ["extend", "terminate", "fail"]
    assert shown["history"][-2]["reason"] == "second phone"
    assert shown["reviews"][0]["reviewed_by"] == "jane@example.org"
    looked = run("event", "list", "--subject", f"attempt {of}").stdout
    assert "looked" in looked
    shown_to_people = run("attempt", "show", of).stdout
    assert "second phone" in shown_to_people
    said = run("attempt", "extend", of, "--minutes", "5", "--reason", "x", exit_code=1)
    assert "stands" in said.output


def test_an_attempt_is_reset(run: Run, run_json: RunJson, attempt: Attempt) -> None:
    reset = ("attempt", "reset", str(attempt.id), "--reason", "wrong room")
    run(*reset, input="n\n", exit_code=1)
    assert len(run_json("attempt", "list")) == 1
    assert "was removed" in run(*reset, "--yes").stdout
    assert run_json("attempt", "list") == []
    assert "No such attempt" in run("attempt", "show", str(attempt.id), exit_code=1).output


def test_who_edits_a_history_is_found_out(
    run: Run,
    store: ProctoringStore,
    storage: Storage,
    make_exam: MakeExam,
    attempt: Attempt,
    clock: ManualClock,
) -> None:
    timed = make_exam(exam_type=ExamType.TIMED, content_id="t", external_id="exam-t")
    others = [started(store, timed, str(user)) for user in range(100, 103)]
    assert "4 histories checked, 0 with a flaw" in run("attempt", "verify", "--all").stdout
    with storage.write() as tx:
        edit = text(
            "UPDATE exam_attempt_history SET who = 'nobody' WHERE attempt_id = :id AND version = 2"
        )
        tx.run(edit, id=attempt.id)
        tx.run(text("UPDATE exam_attempts SET status = 'verified' WHERE id = :id"), id=others[0].id)
        cut = text("DELETE FROM exam_attempt_history WHERE attempt_id = :id AND version = 2")
        tx.run(cut, id=others[1].id)
    said = run("attempt", "verify", "--all", exit_code=1).stdout.splitlines()
    assert said == [
        f"Attempt {attempt.id}: row 2 was changed",
        f"Attempt {others[0].id}: its status is verified, but row 2 made it started",
        f"Attempt {others[1].id}: rows after 1 are missing, or the attempt was changed without one",
        "4 histories checked, 3 with a flaw",
    ]
    run("attempt", "verify", "--attempt", str(others[2].id))
    said_of_one = run("attempt", "verify", "--attempt", str(attempt.id), exit_code=1)
    assert "row 2 was changed" in said_of_one.stdout
    assert "No attempt 99" in run("attempt", "verify", "--attempt", "99", exit_code=1).output


# -- publishing, incidents, and who is told ------------------------------------------------------

PUBLISHED = {
    "content_id": "block-v1:edX+DemoX+2026+type@sequential+block@mid",
    "exam_name": "Midterm",
    "time_limit_mins": 30,
    "due_date": None,
    "exam_type": "proctored",
    "hide_after_due": False,
    "is_active": True,
}


def test_a_list_of_exams_is_published_and_absent_ones_become_inactive(
    run: Run, run_json: RunJson, exam: Exam, tmp_path: Path
) -> None:
    path = tmp_path / "exams.json"
    path.write_text(json.dumps([PUBLISHED]))
    push = ("exam", "push", "edx", COURSE, str(path))
    said = run(*push, "--dry-run").stdout
    assert "new: Midterm" in said
    assert f"inactive: {exam.id} Final" in said
    assert "Nothing was written" in said
    assert [each["exam_name"] for each in run_json("exam", "list")] == ["Final"]
    assert run(*push).stdout.endswith("Published 1 exams\n")
    assert [each["exam_name"] for each in run_json("exam", "list")] == ["Midterm"]
    assert "new" not in run(*push).stdout, "the same list again changes nothing"
    path.write_text(json.dumps([PUBLISHED | {"exam_type": "oral"}]))
    said = run(*push, exit_code=1)
    assert "item 1: exam_type: Must be a valid exam type." in said.output
    path.write_text("{")
    assert "must be a JSON list" in run(*push, exit_code=1).output


def test_an_incident_is_reported_once(run: Run, run_json: RunJson, attempt: Attempt) -> None:
    run("exam", "set", str(attempt.exam_id), "--incident-policy", "two_strikes")
    add = ("incident", "add", str(attempt.id), "--kind", "phone", "--severity", "0.9", "--id")
    assert "strike 1, mark_down, warn" in run(*add, "a").stdout
    assert "has this incident already" in run(*add, "a").stdout
    assert "is second_review_required: strike 2" in run(*add, "b").stdout
    listed = run_json("incident", "list", str(attempt.id))
    assert [(each["incident_id"], each["strike"]) for each in listed] == [("a", 1), ("b", 2)]
    assert "No such attempt" in run("incident", "list", "99", exit_code=1).output


def test_providers_and_subscribers_are_entered_listed_without_secrets_and_removed(
    run: Run, run_json: RunJson, storage: Storage, exam: Exam, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("very-secret-words")
    entered = (
        *("provider", "add", "watchers", "--plugin", "rest"),
        *("--setting", "base_url=https://watchers.example", "--setting", "client_id=us"),
        *("--secret-file", f"client_secret={secret}", "--secret-file", f"obfuscation_key={secret}"),
    )
    said = [run(*entered), run("provider", "list"), run("provider", "list", "--json")]
    (found,) = run_json("provider", "list")
    assert (found["plugin"], found["secrets"]) == ("rest", ["client_secret", "obfuscation_key"])
    bad = run("provider", "add", "x", "--plugin", "rest", exit_code=1)
    assert "base_url" in bad.output
    assert "no plug-in nope" in run("provider", "add", "x", "--plugin", "nope", exit_code=1).output
    run("exam", "set", str(exam.id), "--provider", "watchers")
    assert "has the provider" in run("provider", "remove", "watchers", exit_code=1).output
    run("exam", "set", str(exam.id), "--provider", "")
    run("provider", "remove", "watchers")
    hook = "https://dashboard.example/hook?key=very-secret-words"
    add = ("subscriber", "add", "dashboard", "--lms", "edx", "--url", hook)
    assert "whsec_" in run(*add, "--secret-file", str(secret), exit_code=1).output
    secret.write_text("whsec_" + base64.b64encode(b"very-secret-words-of-the-hook").decode())
    said.append(run(*add, "--secret-file", str(secret)))
    said.append(run("subscriber", "list"))
    (listed,) = run_json("subscriber", "list")
    assert (listed["origin"], listed["sends_user_id"]) == ("https://dashboard.example", False)
    run(*add, "--secret-file", str(secret), "--send-user-id")
    assert run_json("subscriber", "list")[0]["sends_user_id"] is True
    said.append(run("event", "list"))
    assert "very-secret-words" not in "".join(each.output for each in said)
    run("subscriber", "remove", "dashboard")
    assert "No subscriber" in run("subscriber", "remove", "dashboard", exit_code=1).output


def test_one_known_learner_proves_that_the_key_joins(run: Run, store: ProctoringStore) -> None:
    known = obscured_id(LMS.obfuscation_key, "17", LMS.backend)
    check = ("proctoring", "check", "edx", "--offline", "--user-id")
    said = run(*check, "17", "--obscured", known)
    assert "ok: learners: The stored key joins them" in said.stdout
    said = run(*check, "18", "--obscured", known, exit_code=1)
    assert "fail: learners: The stored key makes another id" in said.stdout
    assert LMS.obfuscation_key not in said.output
    assert "with either --obscured" in run(*check, "17", exit_code=2).output


def test_an_lms_that_is_away_is_named(run: Run, run_json: RunJson, store: ProctoringStore) -> None:
    with socket() as taken:  # nobody listens
        taken.bind(("127.0.0.1", 0))
        run("lms", "set", "edx", "--url", f"http://127.0.0.1:{taken.getsockname()[1]}")
        said = run("proctoring", "check", "edx", exit_code=1)
    assert said.stdout.startswith("fail: edx at http://127.0.0.1")


def test_a_mark_down_is_taken_back(
    run: Run, run_json: RunJson, store: ProctoringStore, attempt: Attempt
) -> None:
    of = ("attempt", "mark", str(attempt.id), "--reason", "his dog")
    assert "count 50%" in run(*of, "--factor", "0.5").stdout
    assert run(*of, "--factor", "1").stdout == f"Marks of attempt {attempt.id} count 100%\n"
    assert "nothing was changed" in run(*of, "--factor", "1").stdout
    assert now(store, attempt).mark_factor == 1
    shown = run_json("attempt", "show", str(attempt.id))
    assert (shown["history"][-1]["action"], shown["history"][-1]["reason"]) == ("mark", "his dog")
    for wrong in ("1.5", "-1", "nan"):
        run(*of, "--factor", wrong, exit_code=2)
