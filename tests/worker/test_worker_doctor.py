"""`grader-worker doctor`: whether graders can run here, for people and programs."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner, Result

from grader_worker.cli import doctor as doctor_module
from grader_worker.cli.main import main
from sandbox.backend import BackendDescription, BackendHealth
from sandbox.backends.bubblewrap import forbids_user_namespaces
from sandbox.backends.fake import FakeBackend
from sandbox.canary import CanaryResult

PROBLEM = "this host forbids user namespaces"


class SickBackend(FakeBackend):
    def check(self) -> BackendHealth:
        return BackendHealth(healthy=False, problems=(PROBLEM,))

    def describe(self) -> BackendDescription:
        return BackendDescription(name="bubblewrap", version="1", unenforced=("no memory limit",))


@pytest.fixture
def on_a_sick_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_module, "open_backend", lambda _name: SickBackend([]))


def asked(*options: str) -> Result:
    return CliRunner().invoke(main, ["doctor", "--backend", "bubblewrap", *options])


@pytest.mark.usefixtures("on_a_sick_host")
def test_a_host_that_can_not_run_graders_ends_with_1_and_says_why() -> None:
    said = asked()
    assert said.exit_code == 1
    assert f"fail {PROBLEM}" in said.output
    assert "warn no memory limit" in said.output


@pytest.mark.usefixtures("on_a_sick_host")
def test_programs_get_the_same_as_json() -> None:
    said = json.loads(asked("--json").output)
    assert said["healthy"] is False
    assert said["problems"] == [PROBLEM]


def canary_says(monkeypatch: pytest.MonkeyPatch, *problems: str) -> None:
    result = CanaryResult(at=datetime(2026, 1, 2, tzinfo=UTC), took_ms=1.0, problems=problems)
    monkeypatch.setattr(doctor_module, "open_backend", lambda _name: FakeBackend([]))
    monkeypatch.setattr(doctor_module, "run_canary", lambda _backend: result)


def test_a_host_that_can_ends_with_0(monkeypatch: pytest.MonkeyPatch) -> None:
    canary_says(monkeypatch)
    said = asked()
    assert said.exit_code == 0
    assert "the canary passed 6 attacks at 2026-01-02" in said.output


def test_a_host_whose_canary_fails_ends_with_1_and_says_what_it_got(monkeypatch) -> None:
    canary_says(monkeypatch, "48 network: it gained a way out")
    said = asked()
    assert said.exit_code == 1
    assert "fail canary: 48 network: it gained a way out" in said.output


@pytest.mark.parametrize(
    ("setting", "closed"),
    [
        ("user/max_user_namespaces", "0"),
        ("kernel/unprivileged_userns_clone", "0"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1"),
    ],
)
def test_each_setting_that_forbids_user_namespaces_is_named(tmp_path, setting, closed) -> None:
    path = tmp_path / setting
    path.parent.mkdir()
    path.write_text(f"{closed}\n")
    assert setting.replace("/", ".") in str(forbids_user_namespaces(tmp_path))
    path.write_text("15000\n" if closed == "0" else "0\n")
    assert forbids_user_namespaces(tmp_path) is None
