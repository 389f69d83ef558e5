"""Queue lengths and handing submissions out (facts 1.5 and 1.6)."""

from __future__ import annotations

import json
import re

import pytest
import requests

from tests.wire.exchange import Wire, expected
from tests.wire.traffic import OTHER_QUEUE, QUEUE, fetch, header, submit

LENGTH = "/xqueue/get_queuelen/"
SUBMISSION = "/xqueue/get_submission/"


def test_the_length_is_a_number_of_what_can_be_handed_out(wire: Wire) -> None:
    assert wire.get(f"{LENGTH}?queue_name={QUEUE}").body == b'{"return_code": 0, "content": 0}'
    submit(wire)
    submit(wire)
    assert wire.get(f"{LENGTH}?queue_name={QUEUE}").body == b'{"return_code": 0, "content": 2}'
    fetch(wire)
    assert wire.get(f"{LENGTH}?queue_name={QUEUE}").body == b'{"return_code": 0, "content": 1}'


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        (LENGTH, "'get_queuelen' must provide parameter 'queue_name'"),
        (f"{LENGTH}?queue=x", "'get_queuelen' must provide parameter 'queue_name'"),
        (f"{LENGTH}?queue_name=x", f"Valid queue names are: {OTHER_QUEUE}, {QUEUE}"),
        (f"{LENGTH}?queue_name=", f"Valid queue names are: {OTHER_QUEUE}, {QUEUE}"),
        (SUBMISSION, "'get_submission' must provide parameter 'queue_name'"),
        (f"{SUBMISSION}?queue_name=x", "Queue 'x' not found"),
        (f"{SUBMISSION}?queue_name=", "Queue '' not found"),
        (f"{SUBMISSION}?queue_name=a%00%27b", "Queue 'a\x00'b' not found"),
        (f"{SUBMISSION}?queue_name={QUEUE}", f"Queue '{QUEUE}' is empty"),
        (f"{SUBMISSION}?queue_name={QUEUE}&queue_name={QUEUE}", f"Queue '{QUEUE}' is empty"),
        (f"{SUBMISSION}?queue_name=x&queue_name={QUEUE}", "Queue 'x' not found"),
    ],
)
def test_what_can_not_be_answered_is_said_in_these_words(
    wire: Wire, path: str, complaint: str
) -> None:
    answer = wire.get(path)

    assert (answer.status, answer.body) == (200, expected(1, complaint))


def test_a_submission_is_json_strings_in_a_json_string_in_json(wire: Wire) -> None:
    submit(wire, body="the body")

    answer = wire.get(f"{SUBMISSION}?queue_name={QUEUE}")

    inner = json.loads(json.loads(answer.content)["xqueue_header"])
    header_text = json.dumps(
        {"submission_id": inner["submission_id"], "submission_key": inner["submission_key"]}
    )
    parts = {"xqueue_header": header_text, "xqueue_body": "the body", "xqueue_files": "{}"}
    assert answer.body == expected(0, json.dumps(parts))
    assert type(inner["submission_id"]) is int
    assert re.fullmatch("[0-9a-f]{32}", inner["submission_key"])


def test_graders_learn_nothing_of_the_lms(wire: Wire) -> None:
    submit(wire, header_text=header(lms_key="the-lms-key", extra="kept"))

    raw = fetch(wire).raw

    assert "the-lms-key" not in raw
    assert "callback" not in raw
    assert "kept" not in raw


@pytest.mark.parametrize("query", ["block=true", "block=false&x=", "wait=nonsense&lease_s=-1"])
def test_parameters_of_other_servers_are_ignored(wire: Wire, query: str) -> None:
    submit(wire, body="here")

    answer = wire.get(f"{SUBMISSION}?{query}&queue_name={QUEUE}")

    assert json.loads(answer.content)["xqueue_body"] == "here"


def test_a_submission_in_flight_is_handed_to_nobody_else(wire: Wire) -> None:
    submit(wire)
    fetch(wire)

    assert wire.get(f"{SUBMISSION}?queue_name={QUEUE}").complaint == f"Queue '{QUEUE}' is empty"


def test_each_hand_out_has_a_key_of_its_own(wire: Wire) -> None:
    submit(wire)
    submit(wire)

    assert fetch(wire).key != fetch(wire).key


def test_files_are_addresses_that_need_no_login_under_their_field_names(wire: Wire) -> None:
    form = {"xqueue_header": header(), "xqueue_body": "{}"}
    files = {
        "prog.py": ("prog.py", b"print(1)\n"),
        "daten ü.bin": ("x", bytes(range(256))),
        "empty": ("empty", b""),
    }
    assert wire.upload("/xqueue/submit/", form, files).content == "1"

    addresses = json.loads(fetch(wire).files)

    assert list(addresses) == ["prog.py", "daten ü.bin", "empty"]
    for name, (_, content) in files.items():
        assert addresses[name].startswith(wire.url)
        assert requests.get(addresses[name], timeout=60).content == content


def test_a_changed_file_address_opens_nothing(wire: Wire) -> None:
    form = {"xqueue_header": header(), "xqueue_body": "{}"}
    wire.upload("/xqueue/submit/", form, {"a": ("a", b"secret")})

    address = json.loads(fetch(wire).files)["a"]
    changed = address[:-1] + ("0" if address[-1] != "0" else "1")

    assert requests.get(changed, timeout=60).status_code == 404
