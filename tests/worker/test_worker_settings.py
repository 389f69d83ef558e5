"""workers.toml and the flags become assignments, or an error that says what to change."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from grader_worker.assignment import grader_source
from grader_worker.cli.assignment_options import AssignmentFlags
from grader_worker.errors import SettingsError
from grader_worker.pool import Bounds, queues_of
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
    python, java = queues_of(settings.pools)
    assert settings.socket == tmp_path / "sandboxd.sock"
    assert python.account.url == "https://xqueue.example.edu"
    assert python.account.password == "pw"
    assert python.account.basic_auth.password == "p:q"
    assert [pool.concurrency for pool in settings.pools] == [3, 1]
    assert [pool.name for pool in settings.pools] == ["python", "java"]
    assert python.assignment.grader == DirectoryGrader(path=tmp_path / "graders" / "python")
    assert python.assignment.limits == Limits(wall_s=20.0, pids=32, cpus=0.5)
    assert java.account.username == "g2"
    assert java.assignment.grader == ImageGrader(image="registry/java@sha256:0")
    assert java.assignment.limits == Limits()


def test_a_queue_may_say_how_its_grader_is_run_and_what_everything_right_scores(load):
    said = 'isolation = "split-container"\nruntime = "runsc"\nlms_points = 7'
    python, java = queues_of(load(TOML.replace("concurrency = 3", said)).pools)
    assert python.assignment.isolation is Isolation.SPLIT_CONTAINER
    assert (python.assignment.runtime, python.assignment.lms_points) == ("runsc", 7.0)
    assert (java.assignment.isolation, java.assignment.runtime) == (None, None)
    assert java.assignment.lms_points is None


def test_a_queue_whose_grades_can_be_forged_says_why_that_is_accepted(load):
    said = 'isolation = "none"\nlegacy_reason = "images of 2019, until summer"'
    python, _ = queues_of(load(TOML.replace("concurrency = 3", said)).pools)
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
        ("concurrency = 3", "concurrency = 501", "at most 500"),
        ("concurrency = 3", "autoscale = [8, 1]", "MIN <= MAX"),
        ("concurrency = 3", "autoscale = [0, 0]", "MAX above 0"),
        ("concurrency = 3", "autoscale = 8", "[MIN, MAX]"),
        ("concurrency = 3", "autoscale = [1, true]", "[MIN, MAX]"),
        ('username = "grader"', 'username = "grader"\nwhole_points = 1', "true or false"),
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


EXAM = """
[[queues]]
name = "b"
server = "campus"
grader = "i"

[[pools]]
name = "exam"
queues = ["b", "python"]
concurrency = 4
autoscale = [1, 8]
"""
WITHOUT_ITS_OWN = TOML.replace("concurrency = 3\n", "")


def test_queues_of_one_server_are_served_together(load):
    exam, java = load(WITHOUT_ITS_OWN + EXAM).pools
    assert (exam.name, exam.queue_names) == ("exam", ("b", "python"))
    assert (exam.concurrency, exam.autoscale) == (4, Bounds(least=1, most=8))
    assert (java.name, java.queue_names) == ("java", ("java",))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"python"]', '"java"]', "of one server"),
        ('"python"]', '"pithon"]', "did you mean 'python'"),
        ('"python"]', '"b"]', "listed twice"),
        ('["b", "python"]', "[]", "list of names"),
        ('["b", "python"]', '"b"', "list of names"),
        ("concurrency = 4", 'server = "campsu"', "did you mean 'campus'"),
        ("concurrency = 4", "concurency = 4", "did you mean 'concurrency'"),
        ('name = "exam"', "", "name is missing"),
        ('grader = "i"', "", "name a grader"),
        ('grader = "i"', 'grader = "i"\nconcurrency = 2', "those of the pool count"),
        ("[[pools]]", '[[pools]]\nname = "x"\nqueues = ["b"]\n[[pools]]', "in two pools"),
    ],
)
def test_a_mistake_in_a_pool_is_named(load, old, new, words):
    with pytest.raises(SettingsError, match=re.escape(words)):
        load(WITHOUT_ITS_OWN + EXAM.replace(old, new, 1))


def test_a_queue_name_of_two_servers_needs_the_server(load):
    other = '[[queues]]\nname = "b"\nserver = "other"\ngrader = "i"\n'
    with pytest.raises(SettingsError, match="name the server"):
        load(WITHOUT_ITS_OWN + EXAM + other)
    exam = load(WITHOUT_ITS_OWN + EXAM.replace("= 4", '= 4\nserver = "campus"') + other).pools[0]
    assert exam.account.username == "grader"


def test_a_server_that_counts_in_whole_points_is_named_so(load):
    text = TOML.replace('username = "g2"', 'username = "g2"\nwhole_points = true')
    assert [pool.account.whole_points for pool in load(text).pools] == [False, True]


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
        "together": False,
        "basic_auth_file": None,
        "ca_bundle": None,
        "socket": None,
    }
    return AssignmentFlags(**(values | changes))


def test_flags_become_assignments(tmp_path):
    served = queues_of(flags(tmp_path).settings().pools)
    assert [queue.assignment.queue for queue in served] == ["a", "b"]
    assert served[0].account.password == "pw"


def test_queues_by_flags_have_workers_each_or_together(tmp_path):
    bounds = Bounds(least=1, most=4)
    each = flags(tmp_path, concurrency=2).settings().pools
    assert [(pool.name, pool.concurrency) for pool in each] == [("a", 2), ("b", 2)]
    (both,) = flags(tmp_path, concurrency=2, together=True).settings(autoscale=bounds).pools
    assert (both.name, both.queue_names, both.autoscale) == ("a+b", ("a", "b"), bounds)


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
