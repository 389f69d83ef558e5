"""`make demo` as its user runs it: the exit status tells whether the grades are right."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from deploy.demo import proof
from deploy.demo.course import ATTEMPTS
from deploy.demo.processes import ROOT
from tests.worker.fakes import need


@pytest.fixture(autouse=True)
def _sandbox() -> None:
    need("bwrap")


def test_the_demo_ends_with_0_when_every_grade_is_right() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deploy.demo", "demo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("as expected") == len(ATTEMPTS)


def test_the_demo_ends_with_1_and_names_the_grade_that_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    correct, wrong, _ = ATTEMPTS
    taken_for_right = dataclasses.replace(wrong, is_right=correct.is_right)
    monkeypatch.setattr(proof, "ATTEMPTS", (taken_for_right,))
    assert proof.prove() == 1
    assert f"FAILED: {wrong.title}" in capsys.readouterr().out
