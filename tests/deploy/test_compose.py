"""One machine by Compose, with images that are all made here: a submission is graded through nginx,
and a server that dies under load costs no request that may be repeated."""

import json
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from sandbox.backends.docker import GRADER_BASE_IMAGE
from tests.deploy.machine import HOST, LMS, TOP, Client, Machine
from tests.docker.private_engine import PrivateEngine
from tests.support.sandboxes import engine  # noqa: F401 - pytest takes fixtures from here
from tests.support.services import missing_service

PASSWORD = "correct horse battery staple"
UP_S = 180.0
GRADED_S = 120.0
COURSE_URL = f"{LMS}/courses/course-v1:X+Y+Z/xqueue/42/block-v1:X+Y+Z+type@problem+block@p"


def require_images():
    """Quick when they are there; the first time they are built."""
    if subprocess.run(["which", "docker-compose"], capture_output=True, check=False).returncode:
        missing_service("docker-compose")
    build = TOP / "deploy" / "docker" / "build-app.sh"
    subprocess.run([build, "server", "worker", "postgres", "redis", "nginx"], check=True)


def free_subnet():
    """A small network that no engine of this machine uses, nor gives out by itself."""
    used = subprocess.run(
        "docker network inspect $(docker network ls -q) -f '{{json .IPAM.Config}}'",
        shell=True, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return next(f"10.213.{n}.0/24" for n in range(250) if f"10.213.{n}." not in used)


@pytest.fixture(scope="module")
def grading_engine(engine):  # noqa: F811
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        with PrivateEngine(Path(folder), maps_users=True, group="10100") as private:
            subprocess.run(
                f"docker save {GRADER_BASE_IMAGE} xqueue/grader-python:local"
                f" | docker --host {private.address} load",
                shell=True,
                check=True,
                capture_output=True,
            )
            yield private


@pytest.fixture(scope="module")
def machine(grading_engine):
    require_images()
    with tempfile.TemporaryDirectory() as folder:
        socket_path = grading_engine.address.removeprefix("unix://")
        with Machine(
            Path(folder) / "compose", engine_socket=socket_path, subnet=free_subnet()
        ) as machine:
            machine.queue("up", "--detach")
            until(lambda: status_of(machine, "/readyz") == 200, UP_S)
            prepare(machine)
            machine.worker("up", "--detach")
            yield machine


def prepare(machine):
    machine.server("queue", "add", "cs101")
    for name, role in (("lms", "lms"), ("workers", "grader"), ("alice", "author")):
        password = (machine.folder / "secrets" / "worker_password").read_text()
        chosen = password if name == "workers" else PASSWORD
        machine.server(
            *("account", "add", name, "--role", role, "--queue", "cs101", "--password-stdin"),
            stdin=chosen,
        )


def until(is_true, patience_s):
    """For what happens in containers, from which no event reaches a test."""
    end = time.monotonic() + patience_s
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.2)


def status_of(machine, path):
    connection = machine.connection()
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def submit(client, answer, key):
    info = {"anonymous_student_id": "a", "submission_time": "20260101120000", "random_seed": 1}
    body = {
        "student_info": json.dumps(info),
        "grader_payload": json.dumps({"grader": "square"}),
        "student_response": answer,
    }
    header = {
        "lms_callback_url": f"{COURSE_URL}/score_update",
        "lms_key": key,
        "queue_name": "cs101",
    }
    status, reply = client.post(
        "/xqueue/submit/", xqueue_header=json.dumps(header), xqueue_body=json.dumps(body)
    )
    assert (status, reply["return_code"]) == (200, 0), reply


def callbacks(machine):
    ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:8090/').read().decode())"
    return json.loads(machine.queue("exec", "-T", "lms", "python3", "-c", ask))


def publish(machine, tmp_path):
    subprocess.run(
        [TOP / ".venv" / "bin" / "graders", "new", tmp_path / "square"],
        check=True,
        capture_output=True,
    )
    (tmp_path / "token").write_text(
        machine.server(
            *("token", "create", "--account", "alice", "--role", "author", "--queue", "cs101")
        )
    )
    tmp_path.chmod(0o755)
    machine.in_reach_of_nginx(
        *("--volume", f"{tmp_path}:/author:ro", "--tmpfs", "/var/lib/xqueue:uid=10100"),
        *("xqueue/worker:local", "graders", "publish", "/author/square", "--queue", "cs101"),
        *("--server", f"https://{HOST}:8443", "--token-file", "/author/token"),
    )


def test_a_submission_is_graded_through_nginx_by_an_engine_with_mapped_users(machine, tmp_path):
    publish(machine, tmp_path)
    lms = Client(machine, "lms", PASSWORD)
    submit(lms, "def square(x):\n    return x * x\n", "right")
    submit(lms, "def square(x):\n    return x + x\n", "wrong")
    until(lambda: len(callbacks(machine)) == 2, GRADED_S)
    scores = {
        json.loads(taken["xqueue_header"])["lms_key"]: json.loads(taken["xqueue_body"])["score"]
        for taken in callbacks(machine)
    }
    assert scores["right"] == 1
    assert 0 <= scores["wrong"] < 1


def test_a_server_that_dies_under_load_costs_no_request_that_may_be_repeated(machine):
    lms = Client(machine, "lms", PASSWORD)
    stop = threading.Event()
    seen = []

    def load():
        while not stop.is_set():
            seen.append(lms.get("/xqueue/get_queuelen/?queue_name=cs101"))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: len(seen) > 50, 60)
    machine.queue("kill", "--signal", "SIGKILL", "server-b")
    at_death = len(seen)
    until(lambda: len(seen) > at_death + 200, 60)
    machine.queue("up", "--detach", "server-b")
    stop.set()
    for thread in threads:
        thread.join()
    assert [(status, reply) for status, reply in seen if status != 200] == []
    assert {reply["return_code"] for _, reply in seen} == {0}


def test_the_worker_reaches_neither_the_database_nor_its_password(machine):
    reach = "import socket; socket.create_connection(('postgres', 5432), 3)"
    try_it = ("exec", "-T", "worker", "python3", "-c", reach)
    with pytest.raises(AssertionError, match=r"gaierror|Name or service|timed out"):
        machine.worker(*try_it)
    listed = machine.worker("exec", "-T", "worker", "ls", "/run/secrets").split()
    assert sorted(listed) == ["worker_password", "worker_redis_url"]


def test_what_is_not_for_the_world_is_not_served(machine):
    assert status_of(machine, "/metrics") == 404
    assert status_of(machine, "/xqueue/status/") == 200
