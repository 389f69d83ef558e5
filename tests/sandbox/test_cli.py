"""`sandbox-check` says in its exit status and in words whether a host can be trusted."""

import json

import pytest
from click.testing import CliRunner

from sandbox import conformance_cases
from sandbox.cli import main


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
    assert [case["name"] for case in content["cases"]] == ["honest-program", "no-vsock"]


def test_a_backend_that_cannot_be_used_ends_with_2_and_says_why(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    done = check("--backend", "docker")
    assert done.exit_code == 2
    assert "cannot be used" in done.output


def test_a_failing_case_ends_with_1(bubblewrap_backend, monkeypatch):
    def broken(_):
        raise AssertionError("it burned")

    case = conformance_cases.CASES[0]
    from sandbox import cli
    from sandbox.conformance import Case

    failing = Case(name=case.name, promise=case.promise, try_it=broken)
    monkeypatch.setattr(cli, "CASES", [failing])
    done = check("--backend", "bubblewrap")
    assert done.exit_code == 1
    assert "it burned" in done.output


def test_an_unknown_backend_is_a_usage_error():
    assert check("--backend", "chroot").exit_code == 2
