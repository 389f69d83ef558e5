"""`sandbox-check` says in its exit status and in words whether a host can be trusted."""

import json
import tempfile
from datetime import datetime

import pytest
from click.testing import CliRunner

from sandbox import checking, conformance_report
from sandbox.cli import main
from sandbox.conformance import Case
from sandbox.conformance_cases import CASES as PROMISES
from sandbox.hostile import leftovers
from sandbox.hostile.bench import FOLDER_PREFIX

NAME = FOLDER_PREFIX + "planted"


def check(*arguments):
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize("name", ["docker", "bubblewrap"])
def test_passing_cases_end_with_0_and_a_report(request, tmp_path, name):
    request.getfixturevalue(f"{name}_backend")
    report = tmp_path / "report.json"
    done = check(
        "--backend", name, "--case", "honest-program", "--case", "no-vsock", "--report", str(report)
    )
    assert done.exit_code == 0, done.output
    assert "ok" in done.output
    content = json.loads(report.read_text())
    assert content["backend"]["name"] == name
    cases = content["suites"]["conformance"]
    assert [case["name"] for case in cases] == ["honest-program", "no-vsock"]
    assert content["schema"] == 1
    assert content["verdict"] == "passed"
    assert len(content["seccomp_profile_hash"]) == 16
    assert {"kernel", "machine", "cgroup_version", "processors"} <= content["host"].keys()
    assert datetime.fromisoformat(content["made_at"]).tzinfo is not None


@pytest.mark.parametrize(
    ("asked", "row", "runtime", "image"),
    [
        ([], "docker/runc split-uid", "runc", "xqueue/grader-base:local"),
        (["--isolation", "box"], "docker/runc box", "runc", "xqueue/box-python:local"),
        (
            ["--isolation", "split-container", "--runtime", "runsc"],
            "docker/runsc split-container",
            "runsc",
            "xqueue/grader-base:local",
        ),
    ],
)
def test_a_docker_report_names_engine_runtime_and_image(
    docker_backend, tmp_path, asked, row, runtime, image
):
    report = tmp_path / "report.json"
    done = check(*("--backend", "docker", "--suite", "canary", "--report", str(report)), *asked)
    assert done.exit_code == 0, done.output
    content = json.loads(report.read_text())
    assert content["engine"] == row
    assert (content["host"]["runtime"], content["host"]["image"]) == (runtime, image)
    assert content["host"]["image_id"].startswith("sha256:")


def test_the_hostile_suite_ends_with_what_was_left(bubblewrap_backend, tmp_path):
    report = tmp_path / "report.json"
    done = check(
        *("--backend", "bubblewrap", "--suite", "hostile", "--case", "daemon"),
        *("--report", str(report)),
    )
    assert done.exit_code == 0, done.output
    cases = json.loads(report.read_text())["suites"]["hostile"]
    assert [case["name"] for case in cases] == ["daemon", "nothing-left", "worker-memory"]
    assert cases[0]["number"] == "26"


def test_what_is_left_behind_ends_with_1(bubblewrap_backend, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(leftovers, "PATIENCE_S", 0.0)
    monkeypatch.setattr(checking, "try_cases", lambda *_a, **_k: (tmp_path / NAME).mkdir() or ())
    done = check("--backend", "bubblewrap", "--suite", "hostile", "--case", "daemon")
    assert done.exit_code == 1
    assert NAME in done.output


@pytest.mark.parametrize(
    "wrong",
    [
        ("--backend", "bubblewrap", "--isolation", "split-uid"),
        ("--backend", "docker", "--runtime", "runsc"),
        ("--backend", "docker", "--isolation", "none"),
        ("--backend", "docker", "--isolation", "box", "--image", "other"),
        ("--backend", "docker", "--case", "no-such-case"),
        ("--backend", "docker", "--suite", "polite"),
    ],
)
def test_what_does_not_exist_is_a_usage_error(wrong):
    assert check(*wrong).exit_code == 2


def test_a_core_pattern_that_is_a_program_is_a_warning(tmp_path, monkeypatch):
    pattern = tmp_path / "core_pattern"
    monkeypatch.setattr(conformance_report, "CORE_PATTERN", pattern)
    pattern.write_text("core\n")
    assert conformance_report.facts_of_this_host().warnings == ()
    pattern.write_text("|/usr/share/apport/apport %p\n")
    assert "apport" in conformance_report.facts_of_this_host().warnings[0]


def test_a_backend_that_cannot_be_used_ends_with_2_and_says_why(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    done = check("--backend", "docker")
    assert done.exit_code == 2
    assert "cannot be used" in done.output


def test_a_failing_case_ends_with_1(bubblewrap_backend, monkeypatch):
    def broken(_):
        raise AssertionError("it burned")

    failing = Case(name=PROMISES[0].name, promise=PROMISES[0].promise, try_it=broken)
    monkeypatch.setattr(checking, "PROMISES", (failing,))
    done = check("--backend", "bubblewrap")
    assert done.exit_code == 1
    assert "it burned" in done.output


def test_an_unknown_backend_is_a_usage_error():
    assert check("--backend", "chroot").exit_code == 2
