"""What sandboxd's flags become for the Docker backend."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from grader_worker.cli.docker_options import docker_options, docker_settings
from grader_worker.cli.main import main
from sandbox.backends.docker.settings import SlotSettings
from sandbox.run import MIB


def settings_of(*arguments, backend="docker"):
    """What the backend would be opened with."""
    found = []

    @click.command()
    @docker_options
    def command(**given):
        found.append(docker_settings(backend, **given))

    done = CliRunner().invoke(command, arguments)
    if done.exit_code:
        raise click.UsageError(done.output)
    return found[0]


def test_without_flags_there_are_pools_and_the_engines_own_slots():
    settings = settings_of()
    assert (settings.pool.size, settings.pool.memory_bytes) == (4, 512 * MIB)
    assert settings.slots == SlotSettings()
    assert settings.allow_legacy == {}


def test_flags_say_how_large_the_pool_is_and_what_is_allowed():
    legacy = ("--allow-legacy", "a=b=c", "--allow-legacy", "d=e")
    settings = settings_of("--pool-size", "7", "--pool-memory", "100", *legacy)
    assert (settings.pool.size, settings.pool.memory_bytes) == (7, 100 * MIB)
    assert settings.allow_legacy == {"a": "b=c", "d": "e"}
    assert settings_of("--pool-size", "0").pool.size == 0


def test_slots_have_a_number_and_a_number_of_uses():
    slots = settings_of("--slots", "3", "--slot-uses", "50").slots
    assert (slots.most_waiting, slots.uses) == (3, 50)
    assert slots.images == SlotSettings().images


def test_no_slots_need_to_be_kept():
    assert settings_of("--slots", "0").slots.most_waiting == 0


def test_one_expiry_is_for_pools_and_slots():
    settings = settings_of("--idle-expiry", "60")
    assert (settings.pool.idle_expiry_s, settings.slots.idle_expiry_s) == (60, 60)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--slots", "-1"),
        ("--slot-uses", "0"),
        ("--slots", "many"),
        ("--pool-size", "-1"),
        ("--pool-memory", "0"),
        ("--idle-expiry", "0"),
        ("--registry", "https://registry.example.org"),
        ("--registry", "registry.example.org/cs101"),
        ("--registry", ""),
        ("--allow-legacy", "image"),
        ("--allow-legacy", "image="),
        ("--allow-legacy", "image= "),
        ("--allow-legacy", "=reason"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments):
    with pytest.raises(click.UsageError, match=arguments[0]):
        settings_of(*arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--slots", "1"),
        ("--slots", "0"),
        ("--slot-uses", "1"),
        ("--pool-size", "0"),
        ("--idle-expiry", "5"),
        ("--registry", "registry.example.org"),
        ("--allow-legacy", "image=why"),
    ],
)
def test_flags_that_the_backend_would_not_follow_are_refused(arguments):
    with pytest.raises(click.UsageError, match="need --backend docker"):
        settings_of(*arguments, backend="bubblewrap")


def test_no_registry_is_asked_unless_it_is_named():
    assert "docker.io" not in settings_of().registries
    named = settings_of("--registry", "a.example.org", "--registry", "localhost:5000").registries
    assert named == {"a.example.org", "localhost:5000"}


def test_sandboxd_hands_them_to_its_backend(monkeypatch):
    """As far as the composition root goes; the rest is the backend's."""
    opened = []

    def open_backend(name, docker):
        opened.append((name, docker.slots.most_waiting, docker.slots.uses, docker.pool.size))
        raise click.ClickException("far enough")

    monkeypatch.setattr("grader_worker.cli.sandboxd.open_backend", open_backend)
    monkeypatch.setattr("grader_worker.cli.sandboxd.configure_logging", lambda: None)
    monkeypatch.setattr("grader_worker.cli.sandboxd.ListeningSocket", lambda _path: None)
    arguments = ["--backend", "docker"]
    more = ["--slots", "3", "--slot-uses", "7", "--pool-size", "2"]
    done = CliRunner().invoke(main, ["sandboxd", *arguments, *more])
    assert "far enough" in done.output
    assert opened == [("docker", 3, 7, 2)]
