"""workers.toml and the flags become assignments, or an error that says what to change."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from grader_worker.assignment import grader_source
from grader_worker.cli.assignment_options import AssignmentFlags
from grader_worker.errors import SettingsError
from grader_worker.settings import load_settings
from sandbox.run import DirectoryGrader, ImageGrader, Isolation, Limits

TOML = """
socket = "sandboxd.sock"

[servers.campus]
url = "https://xqueue.example.edu/"
username = "grader"
password_file = "password"
basic_auth_file = "proxy"
ca_bundle = "ca.pem"

[servers.other]
url = "http://other"
username = "g2"
password_file = "password"

[[queues]]
name = "python"
server = "campus"
grader = "graders/python"
concurrency = 3
limits = { wall_s = 20, pids = 32, cpus = 0.5 }

[[queues]]
name = "java"
server = "other"
grader = "registry/java@sha256:0"
"""


@pytest.fixture
def load(tmp_path):
    (tmp_path / "password").write_text("pw\n")
    (tmp_path / "proxy").write_text("u:p:q\n")
    (tmp_path / "graders" / "python").mkdir(parents=True)

    def load(text=TOML):
        file = tmp_path / "workers.toml"
        file.write_text(text)
        return load_settings(file)

    return load


def test_servers_queues_and_graders_become_assignments(load, tmp_path):
    settings = load()
    python, java = settings.served
    assert settings.socket == tmp_path / "sandboxd.sock"
    assert python.account.url == "https://xqueue.example.edu"
    assert python.account.password == "pw"
    assert python.account.basic_auth.password == "p:q"
    assert python.concurrency == 3
    assert python.assignment.grader == DirectoryGrader(path=tmp_path / "graders" / "python")
    assert python.assignment.limits == Limits(wall_s=20.0, pids=32, cpus=0.5)
    assert java.account.username == "g2"
    assert java.assignment.grader == ImageGrader(image="registry/java@sha256:0")
    assert (java.concurrency, java.assignment.limits) == (1, Limits())


def test_a_queue_may_say_how_its_grader_is_run_and_what_everything_right_scores(load):
    said = 'isolation = "split-container"\nruntime = "runsc"\nlms_points = 7'
    python, java = load(TOML.replace("concurrency = 3", said)).served
    assert python.assignment.isolation is Isolation.SPLIT_CONTAINER
    assert (python.assignment.runtime, python.assignment.lms_points) == ("runsc", 7.0)
    assert (java.assignment.isolation, java.assignment.runtime) == (None, None)
    assert java.assignment.lms_points is None


def test_a_queue_whose_grades_can_be_forged_says_why_that_is_accepted(load):
    said = 'isolation = "none"\nlegacy_reason = "images of 2019, until summer"'
    python, _ = load(TOML.replace("concurrency = 3", said)).served
    assert python.assignment.isolation is Isolation.NONE
    assert python.assignment.legacy_reason == "images of 2019, until summer"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("concurrency = 3", 'isolation = "none"', "say why in legacy_reason"),
        ("concurrency = 3", 'isolation = "none"\nlegacy_reason = ""', "legacy_reason is empty"),
        ("concurrency = 3", 'legacy_reason = "x"', 'goes with isolation = "none" only'),
        ("concurrency = 3", 'isolation = "split_uid"', "did you mean 'split-uid'"),
        ("concurrency = 3", "isolation = 1", "must be a str"),
        ("concurrency = 3", 'runtime = ""', "runtime is empty"),
        ("concurrency = 3", "lms_points = 0", "lms_points must be above zero"),
        ("concurrency = 3", "lms_points = inf", "lms_points must be above zero"),
        ("concurrency = 3", 'lms_points = "5"', "lms_points must be a number"),
        ("concurrency = 3", "lms_point = 5", "did you mean 'lms_points'"),
        ("concurrency", "concurency", "did you mean 'concurrency'"),
        ("wall_s", "walls", "did you mean 'wall_s'"),
        ("username", "user_name", "did you mean 'username'"),
        ("socket", "sokcet", "did you mean 'socket'"),
        ('server = "campus"', 'server = "campsu"', "did you mean 'campus'"),
        ('server = "campus"', "", "server is missing"),
        ("pids = 32", 'pids = "many"', "pids must be a number"),
        ("pids = 32", "pids = 0", "pids must be above zero"),
        ("wall_s = 20", "wall_s = nan", "wall_s must be above zero"),
        ("concurrency = 3", "concurrency = 0", "at least 1"),
        ("concurrency = 3", "concurrency = true", "must be a int"),
        ("https://xqueue", "xqueue", "expected an http"),
        ("graders/python", "./nowhere", "no such directory"),
        ('password_file = "password"', 'password_file = "absent"', "absent"),
        ("[[queues]]", "[[queue]]", "did you mean 'queues'"),
        ('name = "python"', "name = 5", "must be a str"),
        ("[servers.campus]", "[servers.campus", "workers.toml"),
    ],
)
def test_a_mistake_is_named(load, old, new, words):
    with pytest.raises(SettingsError, match=re.escape(words)):
        load(TOML.replace(old, new, 1) if old != "[[queues]]" else TOML.replace(old, new))


def test_a_file_without_queues_is_refused(load):
    with pytest.raises(SettingsError, match="nothing to grade"):
        load("")


def test_a_queue_listed_twice_is_refused(load):
    twice = '[[queues]]\nname = "java"\nserver = "other"\ngrader = "i"\n'
    with pytest.raises(SettingsError, match="listed twice"):
        load(TOML + twice)


def test_a_missing_file_is_said_so(tmp_path):
    with pytest.raises(SettingsError, match="absent"):
        load_settings(tmp_path / "absent.toml")


def test_a_directory_is_a_directory_and_else_it_is_an_image(tmp_path):
    assert grader_source(str(tmp_path)) == DirectoryGrader(path=tmp_path)
    assert grader_source("python:3") == ImageGrader(image="python:3")


@pytest.mark.parametrize("text", ["/nowhere", "./nowhere", "~/nowhere-at-all", "", " "])
def test_a_path_that_leads_nowhere_is_said_at_start(text):
    with pytest.raises(SettingsError, match="no such directory"):
        grader_source(text)


def flags(tmp_path, **changes):
    (tmp_path / "pw").write_text("pw")
    values = {
        "config": None,
        "server": "http://x",
        "queues": ("a", "b", "a"),
        "username": "g",
        "password_file": tmp_path / "pw",
        "grader": "image",
        "concurrency": None,
        "basic_auth_file": None,
        "ca_bundle": None,
        "socket": None,
    }
    return AssignmentFlags(**(values | changes))


def test_flags_become_assignments(tmp_path):
    served = flags(tmp_path).settings().served
    assert [queue.assignment.queue for queue in served] == ["a", "b"]
    assert served[0].account.password == "pw"


@pytest.mark.parametrize("missing", ["server", "queues", "username", "password_file"])
def test_a_missing_flag_is_said_so(tmp_path, missing):
    with pytest.raises(SettingsError, match="give"):
        flags(tmp_path, **{missing: None}).settings()


def test_a_file_and_flags_do_not_mix(tmp_path):
    with pytest.raises(SettingsError, match="--config replaces --server"):
        flags(tmp_path, config=Path("workers.toml")).settings()


def test_the_flag_for_the_socket_wins(tmp_path, load):
    settings = load()
    assert flags(tmp_path, socket=Path("/x")).socket_path(settings) == Path("/x")
    assert flags(tmp_path).socket_path(settings) == settings.socket
