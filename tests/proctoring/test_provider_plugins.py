"""Plug-ins by themselves: what they make of an exam and an attempt, and of their settings."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest

from proctoring_hooks.learner_names import LearnerNames
from proctoring_hooks.providers import plugins
from proctoring_hooks.providers.base import (
    About,
    Answer,
    BadSettings,
    Entry,
    Learned,
    NotTaken,
    Occasion,
    Request,
    WrongAnswer,
)
from proctoring_hooks.providers.software_secure import (
    authorization,
    password,
    serialized,
    shown_name,
)
from tests.proctoring.conftest import MakeExam
from tests.proctoring.sitting import registered
from xqueue_server.storage.proctoring import ProctoringStore

NOW = datetime(2026, 11, 21, 22, 0, tzinfo=UTC)
REST = Entry(
    name="watcher",
    plugin="rest",
    settings={"base_url": "https://p.example.org/", "client_id": "us"},
    secrets={"client_secret": "s", "obfuscation_key": "o"},
)
PSI = Entry(
    name="psi",
    plugin="software_secure",
    settings={
        "base_url": "https://psi.example.org/register",
        "organization": "edX",
        "exam_sponsor": "the university",
        "secret_key_id": "foo",
        "send_email": True,
    },
    secrets={"secret_key": "bar", "crypto_key": "123456789123456712345678"},
)
DOCUMENT = {
    "examCode": "ABC-1",
    "organization": "edX",
    "duration": 60,
    "reviewedExam": True,
    "flag": False,
    "nothing": None,
    "empty": "",
    "zero": 0,
    "list": [1, "b", {"c": 2, "d": None}],
    "orgExtra": {"noOfStudents": 1, "firstName": "Zoë", "deep": {"x": 1}, "l": [1, 2]},
}
LINES = (
    "duration:60\nempty:\nexamCode:ABC-1\nflag:false\nlist.0:1\nlist.1:b\nlist.2.c:2\n"
    "list.2.d:null\nnothing:null\ndeep.x:1\norgExtra.firstName:Zoë\nl.0:1\nl.1:2\n"
    "orgExtra.noOfStudents:1\norganization:edX\nreviewedExam:true\nzero:null\n"
)


def test_the_plugins_that_come_along_are_installed() -> None:
    assert set(plugins.known()) >= {"null", "mock", "rest", "software_secure"}


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (
            Entry(name="p", plugin="rest", settings={}, secrets={}),
            "the setting base_url is missing; give it with --setting base_url=VALUE",
        ),
        (
            Entry(name="p", plugin="rest", settings={"base_url": 7}, secrets={}),
            "the setting base_url must be a text, not empty",
        ),
        (
            Entry(name="p", plugin="rest", settings={"base_url": "p.example"}, secrets={}),
            "base_url must be like https://provider.example.org",
        ),
        (
            Entry(name="p", plugin="rest", settings=REST.settings, secrets={"client_secret": "s"}),
            "the secret obfuscation_key is missing; give it with --secret-file obfuscation_key=",
        ),
        (
            Entry(
                name="p",
                plugin="rest",
                settings={**REST.settings, "send_names": "yes"},
                secrets=REST.secrets,
            ),
            "send_names must be true or false",
        ),
        (
            Entry(
                name="p",
                plugin="software_secure",
                settings=PSI.settings,
                secrets={**PSI.secrets, "crypto_key": "short"},
            ),
            "crypto_key must have 16 or 24 characters",
        ),
        (Entry(name="p", plugin="none", settings={}, secrets={}), "no plug-in none is installed"),
    ],
)
def test_a_wrong_setting_is_named(entry: Entry, words: str) -> None:
    with pytest.raises(BadSettings, match=words):
        plugins.load(entry)


def test_software_secure_signs_as_edx_proctoring_does() -> None:
    """Lines and signature were made with the code of edx-proctoring 6.1.4."""
    assert serialized(DOCUMENT) == LINES
    date = "Sat, 21 Nov 2026 22:00:00 GMT"
    assert authorization("foo", b"bar", DOCUMENT, date) == (
        "SSI foo:1UccwdEzDxTFXj5nAsnsECui9GejWhCjyRisS3KlmNQ="
    )


def test_software_secure_encrypts_the_password_as_edx_proctoring_does() -> None:
    """Made with its code, and the Cryptodome that it uses."""
    assert password(b"123456789123456712345678", "ABC-1") == "KpoFM1nbL90="
    assert password(b"123456789123456712345678", "12345678") == "cjGAv463DW0hBfHAEq/wbg=="


def test_software_secure_is_told_once(store: ProctoringStore, make_exam: MakeExam) -> None:
    exam = make_exam(exam_name="Prüfung: [Teil] #1?")
    attempt = registered(store, exam)
    names = LearnerNames(full_name="Jane van Doe", email="jane@example.org", username="jane")
    about = About(
        exam=exam, attempt=attempt, names=names, callback_url="https://x.example/exams", now=NOW
    )
    provider = plugins.load(PSI)
    request = provider.tell(Occasion.REGISTER, about)
    assert isinstance(request, Request)
    assert request.body is not None
    document = json.loads(request.body)
    assert document["examName"] == "Prufung_ _Teil_ _1_"
    assert document["examCode"] == attempt.external_id
    assert document["examUrl"].startswith("https://x.example/exams/api/edx_proctoring/")
    extra = document["orgExtra"]
    assert (extra["firstName"], extra["lastName"]) == ("Jane", "van Doe")
    assert (extra["examStartDate"], extra["email"]) == (
        "Sat, 21 Nov 2026 22:00:00 GMT",
        "jane@example.org",
    )
    assert request.headers["Authorization"] == authorization(
        "foo", b"bar", document, "Sat, 21 Nov 2026 22:00:00 GMT"
    )
    for occasion in Occasion:
        if occasion is not Occasion.REGISTER:
            assert provider.tell(occasion, about) == Learned()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(status=200, text='{"ssiRecordLocator": "L1"}'), Learned(attempt_id="L1")),
        (Answer(status=201, text='{"ssiRecordLocator": "L1"}'), Learned(attempt_id="L1")),
        (Answer(status=404, text=""), None),
        (Answer(status=200, text="<html>"), WrongAnswer),
        (Answer(status=200, text="[]"), WrongAnswer),
        (Answer(status=200, text='{"ssiRecordLocator": 7}'), WrongAnswer),
        (Answer(status=400, text="{}"), NotTaken),
    ],
)
def test_what_software_secure_answers(
    store: ProctoringStore, make_exam: MakeExam, answer: Answer, expected: object
) -> None:
    exam = make_exam()
    about = About(exam=exam, attempt=None, names=None, callback_url="", now=NOW)
    provider = plugins.load(PSI)
    if isinstance(expected, type):
        with pytest.raises(expected):
            provider.read(Occasion.REGISTER, about, answer)
    else:
        assert provider.read(Occasion.REGISTER, about, answer) == expected


def test_a_name_without_a_letter_that_it_knows_gets_another() -> None:
    assert shown_name("期末考试") == "Proctored Exam"


def test_no_secret_is_in_what_is_logged() -> None:
    assert "bar" not in repr(PSI)
    assert base64.b64encode(b"bar").decode() not in repr(plugins.load(PSI))
