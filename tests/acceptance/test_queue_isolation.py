"""The operator chooses another isolation for a queue: it counts from the next submission on, on a
host that nobody touches, for a grader that nobody publishes again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from deploy.demo.gradebook import InputStatus
from deploy.demo.lms import StandInLms
from tests.acceptance.classroom import RIGHT, submit
from tests.acceptance.site import QUEUE, Site
from tests.kit.written import write_files
from tests.worker.fakes import eventually

WAIT_S = 120.0
"""Two rounds of the worker, and a slot started on a busy machine."""
GRADER_FILE = """
name: where
title: Are there files of the kernel's
language: python
tests:
  - {id: sys, call: has_sys, args: [], returns: false}
"""
HAS_SYS = replace(RIGHT, answer="import os\n\ndef has_sys():\n    return os.path.isdir('/sys')\n")
"""Containers have it, boxes do not: so who passes ran in a box."""
CONTAINER, BOX = InputStatus.INCORRECT, InputStatus.CORRECT


def test_another_isolation_counts_from_the_next_submission_on(
    engine: object,
    server_site: Site,
    lms: StandInLms,
    tmp_path: Path,
) -> None:
    site, author = server_site, server_site.author()
    site.start_deliver()
    site.start_sandboxd("docker", "--pool-size", "1", "--slots", "1")
    site.start_worker("poll")
    directory = write_files(tmp_path / "where", {"grader.yaml": GRADER_FILE})
    author.graders("publish", str(directory), "--queue", QUEUE)
    versions = ("versions", "where", "--queue", QUEUE)
    eventually(lambda: "version 1 ready" in author.graders(*versions), WAIT_S)

    assert ran_in(site, lms) is CONTAINER
    site.command("queue", "isolation", QUEUE, "box")
    assert ran_in(site, lms) is BOX
    site.command("queue", "isolation", QUEUE, "--author-decides")
    assert ran_in(site, lms) is CONTAINER
    assert [s["attempt"] for s in site.ask("submission", "list")] == [1, 1, 1]


def ran_in(site: Site, lms: StandInLms) -> InputStatus:
    submitted = submit(lms, site.capa(), HAS_SYS, payload="{}")
    return lms.wait_for_grade(submitted.where, WAIT_S).status
