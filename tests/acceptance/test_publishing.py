"""From a teacher's directory to grades: publish, try, roll back, repair; the worker is told nothing
but its server and queue."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from deploy.demo.gradebook import InputStatus
from deploy.demo.lms import StandInLms
from deploy.demo.processes import ProcessFailed
from tests.acceptance.classroom import RIGHT, submit
from tests.acceptance.site import QUEUE, Author, Site
from tests.worker.fakes import eventually

GRADE_S = 120.0
"""Two rounds of the worker, on a busy machine."""
GRADER_FILE = """
name: square
title: The square of a number
language: python
tests:
  - {{id: three, call: square, args: [3], returns: {three}}}
  - {{id: minus, call: square, args: [-4], returns: 16, hidden: true}}
"""
PAYLOAD = '{"grader": "square"}'


@pytest.fixture
def site(server_site: Site) -> Site:
    server_site.start_deliver()
    server_site.start_sandboxd("bubblewrap")
    server_site.start_worker("poll")
    return server_site


@pytest.fixture
def author(site: Site) -> Author:
    return site.author()


def grader(tmp_path: Path, name: str, three: int = 9) -> str:
    directory = tmp_path / name
    directory.mkdir()
    (directory / "grader.yaml").write_text(GRADER_FILE.format(three=three))
    (directory / "right.py").write_text("def square(x):\n    return x * x\n")
    return str(directory)


def grade_of(site: Site, lms: StandInLms, payload: str = PAYLOAD) -> InputStatus:
    """What a learner's right answer gets."""
    submitted = submit(lms, site.capa(), RIGHT, payload=payload)
    return lms.wait_for_grade(submitted.where, GRADE_S).status


def is_ready(author: Author, version: int) -> bool:
    return f"version {version} ready" in author.graders("versions", "square", "--queue", QUEUE)


def test_a_published_grader_grades_and_is_rolled_back_at_once(
    site: Site, lms: StandInLms, author: Author, tmp_path: Path
) -> None:
    problem = author.graders("publish", grader(tmp_path, "good"), "--queue", QUEUE)
    response = ElementTree.fromstring(problem).find("coderesponse")
    assert response is not None
    assert response.get("queuename") == QUEUE
    assert json.loads(response.findtext("codeparam/grader_payload", "")) == {"grader": "square"}
    eventually(lambda: is_ready(author, 1), GRADE_S)
    assert grade_of(site, lms) is InputStatus.CORRECT

    author.graders("publish", grader(tmp_path, "bad", three=10), "--queue", QUEUE)
    assert grade_of(site, lms) is InputStatus.INCORRECT

    author.graders("rollback", "square", "--queue", QUEUE)
    assert grade_of(site, lms) is InputStatus.CORRECT
    figures = author.graders("faults", "--queue", QUEUE, "--grader", "square")
    assert "test three: 0% of 2 did not pass" in figures


def test_a_name_that_nobody_published_is_held_and_shown_to_the_author(
    site: Site, lms: StandInLms, author: Author, tmp_path: Path
) -> None:
    author.graders("publish", grader(tmp_path, "good"), "--queue", QUEUE)
    eventually(lambda: is_ready(author, 1), GRADE_S)

    submitted = submit(lms, site.capa(), RIGHT, payload='{"grader": "cube"}')

    eventually(lambda: "1 times" in author.graders("faults", "--queue", QUEUE), GRADE_S)
    number = author.graders("faults", "--queue", QUEUE).split()[0]
    assert "cube" in author.graders("faults", number)
    assert lms.state(submitted.where).status is InputStatus.PENDING


def test_a_trial_runs_on_the_servers_workers_before_anything_is_published(
    author: Author, tmp_path: Path
) -> None:
    directory = grader(tmp_path, "good")
    answer = f"{directory}/right.py"

    said = author.graders("try", directory, answer, "--queue", QUEUE, "--json")

    assert json.loads(said)["reply"]["correct"] is True


def test_a_token_of_one_queue_publishes_on_no_other(
    site: Site, author: Author, tmp_path: Path
) -> None:
    site.command("queue", "add", "other")

    with pytest.raises(ProcessFailed, match="other"):
        author.graders("publish", grader(tmp_path, "good"), "--queue", "other")
