"""What the server passes on of learners and hosts does not steer an author's terminal."""

from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from graders.cli import faults, options, versions
from graders.cli.terminal import when

ESCAPES = "\x1b[2J\x1b]0;title\x07"
FAULT = {
    "id": 7,
    "count": 2,
    "last_at": "2026-11-21T14:48:01.123456+00:00",
    "grader": "mean",
    "version": 3,
    "signature": "KeyError\nFORGED LINE",
    "detail": f"Traceback\n  grade.py{ESCAPES}",
    "submissions": [{"id": 1, "state": "held"}],
}
GRADER = {
    "versions": [
        {
            "version": 1,
            "active": True,
            "digest": "sha256:0",
            "image": None,
            "published_at": "2026-11-21T14:48:01+00:00",
            "published_by": f"alice{ESCAPES}",
            "forgeable": False,
        }
    ],
    "readiness": [{"host": "h\nFORGED LINE", "version": 1, "ready": False, "problem": "p\nFORGED"}],
}


class Answers:
    """A server that answers everything with one document."""

    def __init__(self, document):
        self.document = document

    def request(self, method, path, **_):
        return self.document


@pytest.mark.parametrize(
    ("command", "arguments", "document", "kept"),
    [
        (faults.command, ["7"], FAULT, "Traceback\n  grade.py"),
        (faults.command, ["--queue", "q"], {"faults": [FAULT]}, "14:48 UTC"),
        (versions.command, ["mean", "--queue", "q"], GRADER, "2026-11-21 14:48 UTC"),
    ],
    ids=["one fault", "faults", "versions"],
)
def test_what_others_chose_is_shown_and_obeyed_by_nobody(
    monkeypatch, command, arguments, document, kept
):
    monkeypatch.setattr(options, "open_server", lambda *_: Answers(document))
    done = CliRunner().invoke(command, arguments)
    assert done.exit_code == 0, done.output
    assert kept in done.output
    assert not {c for c in done.output if not c.isprintable()} - {"\n"}
    assert not any(line.startswith("FORGED") for line in done.output.splitlines())


def test_a_time_of_another_form_is_shown_as_it_is():
    assert when("soon") == "soon"


@pytest.mark.parametrize(
    ("created", "shown"),
    [
        ("2026-01-01T00:00:00+00:00", "  base image of 90 days"),
        (
            "2025-12-31T00:00:00+00:00",
            "  base image of 91 days, older than 90 days: BUILD IT ANEW",
        ),
        (None, ""),
        ("new", ""),
        ("2026-01-01T00:00:00", ""),
    ],
)
def test_an_old_base_image_is_warned_of(created, shown):
    now = datetime(2026, 4, 1, tzinfo=UTC)
    assert versions.image_age(created, now=now) == shown
    line = versions._host_line(
        {"host": "h", "version": 1, "ready": True, "problem": None, "image_created": created}
    )
    assert ("base image" in line) == bool(shown)
