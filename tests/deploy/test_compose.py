"""One machine by Compose, with images that are all made here: a submission is graded through nginx,
and a server that dies under load costs no request that may be repeated."""

import json
import random
import subprocess
import tempfile
import threading
import time
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from sandbox.backends.docker import GRADER_BASE_IMAGE
from tests.deploy import exams
from tests.deploy.machine import HOST, LMS, TOP, Client, Machine
from tests.docker.private_engine import PrivateEngine
from tests.support.services import missing_service

PASSWORD = "correct horse battery staple"
UP_S = 180.0
GRADED_S = 180.0
FLOW_S = 180.0
COURSE_URL = f"{LMS}/courses/course-v1:X+Y+Z/xqueue/42/block-v1:X+Y+Z+type@problem+block@p"


KNOCK = """
import contextlib, json, socket, sys
for address, port in json.loads(sys.argv[1]):
    with contextlib.suppress(OSError):
        socket.create_connection((address, port), 1)
        print(f"{address}:{port}")
"""


def require_images():
    """Quick when they are there; the first time they are built."""
    if subprocess.run(["which", "docker-compose"], capture_output=True, check=False).returncode:
        missing_service("docker-compose")
    build = TOP / "deploy" / "docker" / "build-app.sh"
    subprocess.run([build, "server", "worker", "postgres", "redis", "nginx"], check=True)


def free_network():
    """The first three numbers of one that no engine here uses, nor gives out by itself."""
    # Not checked: a network that was listed may be gone by now.
    used = subprocess.run(
        "docker network inspect $(docker network ls -q) -f '{{json .IPAM.Config}}'",
        shell=True, check=False, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert used, "there is always one, of no addresses"
    # Another session may choose in the same moment.
    numbers = random.sample(range(250), 250)
    return next(f"10.213.{n}" for n in numbers if f"10.213.{n}." not in used)


@pytest.fixture(scope="module")
def grading_engine(engine):
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
            Path(folder) / "compose", engine_socket=socket_path, network=free_network()
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
        *("--server", f"https://{HOST}:{machine.port}", "--token-file", "/author/token"),
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


@contextmanager
def load(ask, *, pause_s=0.0):
    """`ask()` again and again, from four clients; gives the answers, which grow."""
    stop = threading.Event()
    seen = []

    def go_on():
        while not stop.wait(pause_s):
            seen.append(ask())

    threads = [threading.Thread(target=go_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def more(seen, count):
    so_far = len(seen)
    until(lambda: len(seen) > so_far + count, FLOW_S)


def refused(seen):
    return [(status, reply) for status, reply in seen if status != 200 or reply["return_code"]]


def test_a_server_that_dies_under_load_costs_no_request_that_may_be_repeated(
    machine, lms_with_exams
):
    lms = Client(machine, "lms", PASSWORD)
    attempt = lms_with_exams.begin()
    page = urlsplit(lms_with_exams.look(*attempt).json["download_url"]).path

    def look():
        """As the LMS and as the learner's page, which ask again and again."""
        return [lms_with_exams.look(*attempt), exams.ask(machine, "GET", f"{page}/status")]

    with load(lambda: lms.get("/xqueue/get_queuelen/?queue_name=cs101")) as seen, load(look) as two:
        more(seen, 50)
        more(two, 20)
        machine.queue("kill", "--signal", "SIGKILL", "server-b")
        more(seen, 200)
        more(two, 100)
    assert refused(seen) == []
    assert {answer.status for both in two for answer in both} == {200}


def test_servers_replaced_one_after_the_other_cost_no_log_in(machine):
    """A POST, which no proxy sends again. Fewer than nginx lets one address send."""
    lms = Client(machine, "lms", PASSWORD)

    def log_in():
        return lms.post("/xqueue/login/", username="lms", password=PASSWORD)

    with load(log_in, pause_s=0.1) as seen:
        machine.queue("up", "--detach", "--no-deps", "server-b")
        until(lambda: machine.is_healthy("server-b"), UP_S)
        machine.queue("stop", "server-a")
        more(seen, 20)
    machine.queue("up", "--detach", "--no-deps", "server-a")
    assert refused(seen) == []


def test_the_worker_reaches_neither_the_database_nor_its_password(machine):
    # The servers neither: what comes past nginx could name any client it likes.
    doors = [(address, 5432) for address in machine.addresses("postgres")]
    doors += [(address, 8040) for address in machine.addresses("server-a")]
    knock = ("python3", "-c", KNOCK, json.dumps([*doors, (HOST, machine.port)]))
    assert machine.worker("exec", "-T", "worker", *knock).split() == [f"{HOST}:{machine.port}"]
    listed = machine.worker("exec", "-T", "worker", "ls", "/run/secrets").split()
    assert sorted(listed) == ["worker_password", "worker_redis_url"]


def test_a_browser_may_sign_in_at_a_port_of_its_own(machine):
    """Its forms name an origin with the port."""
    with closing(machine.connection()) as connection:
        connection.request(
            "POST",
            "/admin/sign-in",
            "name=lms&password=wrong",
            {
                "Content-Type": "application/x-www-form-urlencoded",
                "Origin": f"https://{HOST}:{machine.port}",
            },
        )
        assert connection.getresponse().status == 401, "the password is wrong, not the page"


def test_any_other_setting_is_taken_from_its_file(machine):
    listed = json.loads(machine.server("doctor", "--settings", "--json"))
    assert {s["name"]: s["value"] for s in listed}["XQUEUE_PING_INTERVAL_S"] == "40"


def test_what_is_not_for_the_world_is_not_served(machine):
    assert status_of(machine, "/metrics") == 404
    assert status_of(machine, "/xqueue/status/") == 200


# -- proctored exams -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lms_with_exams(machine):
    exams.enter_lms(machine)
    return exams.LmsOutside(machine)


def test_an_lms_that_was_entered_gets_a_token_and_nobody_else_does(machine, lms_with_exams):
    given = exams.sign_in(machine)
    assert given.status == 200
    assert given.json.keys() >= {"access_token", "expires_in"}
    assert exams.sign_in(machine, secret="guessed").status == 401


def test_the_console_hears_through_nginx_what_happens_and_misses_nothing_of_a_restart(
    machine, lms_with_exams
):
    exam, attempt = lms_with_exams.begin()
    stream = exams.InstructorOutside(machine).listen()
    with closing(stream):
        lms_with_exams.tell(exam, attempt, "started")
        heard = next(iter(stream))
        assert heard.keys() == {"attempt", "kind"}
        machine.queue("stop", "events")
        rest = list(stream)  # it is ended, not cut off
        assert all(each["attempt"] == heard["attempt"] for each in rest)
        lms_with_exams.tell(exam, attempt, "submitted")
        machine.queue("up", "--detach", "--no-deps", "events")
        until(lambda: machine.is_healthy("events"), UP_S)
        stream.come_back()
        assert next(iter(stream))["attempt"] == heard["attempt"]


def test_a_stream_without_a_ticket_is_refused_by_the_process_that_streams(machine):
    answer = exams.ask(machine, "GET", "/proctoring/events?course=any")
    assert (answer.status, answer.text) == (403, "this ticket was not made here\n")


def test_the_exam_service_is_at_its_prefix_and_its_token_at_the_root(machine):
    health = exams.ask(machine, "GET", "/exams/health/")
    assert (health.status, health.json["overall_status"]) == (200, "OK")
    token = exams.ask(machine, "GET", "/csrf/api/v1/token")
    assert (token.status, token.json.keys()) == (200, {"csrfToken"})
    latest = exams.ask(machine, "GET", "/exams/api/v1/exams/attempt/latest")
    assert latest.status == 401, "it is ours to refuse"
    page = exams.ask(machine, "GET", "/proctoring/attempt/1.2.3")
    assert page.status == 404
    assert "Open this page from the exam" in page.text
    bundles = exams.ask(machine, "GET", "/proctoring/worker/webpack-worker-stats.json")
    (address,) = {each["publicPath"] for each in bundles.json["assets"].values()}
    bundle = exams.ask(machine, "GET", address.removeprefix(f"https://{HOST}:{machine.port}"))
    assert bundle.headers.get_content_type() == "text/javascript"


def test_cookies_of_an_lms_fit_into_a_request(machine):
    """Those of its domain come along to /exams/; its own server takes 8 KB of headers."""
    cookies = {"Cookie": f"edx-jwt={'x' * 7500}"}
    answer = exams.ask(machine, "GET", "/exams/api/v1/exams/attempt/latest", headers=cookies)
    assert answer.status == 401, answer.text


def test_each_prefix_can_be_fenced(machine):
    inside = {
        "queue": ["/xqueue/status/", "/xqueue/login/", "/xqueue/files/any"],
        "api": ["/api/v1/queues"],
        "staff": [
            "/admin/",
            "/admin/sign-in",
            "/admin/sign-in/callback",
            "/proctoring/console/",
            "/proctoring/api/v1/instructor/edx/",
            "/proctoring/events",
        ],
        "lms": [
            "/proctoring/api/v1/config/",
            "/proctoring/oauth2/access_token",
            "/proctoring/edx/oauth2/access_token",
        ],
        "exams": [
            "/proctoring/attempt/1.2.3",
            "/proctoring/worker/workers.json",
            "/exams/health/",
            "/csrf/api/v1/token",
        ],
        "providers": [
            "/exams/oauth2/access_token",
            "/exams/api/edx_proctoring/v1/proctored_exam/attempt/1/ready",
        ],
    }

    def refused():
        return {
            path
            for paths in inside.values()
            for path in paths
            if "nginx" in exams.ask(machine, "GET", path).text
        }

    assert refused() == set()
    for name, paths in inside.items():
        fence = machine.folder / "fences" / f"{name}.conf"
        fence.write_text("deny all;\n")
        try:
            machine.reload_nginx()
            until(lambda paths=paths: refused() == set(paths), UP_S)
        finally:
            fence.unlink()
    machine.reload_nginx()
    until(lambda: refused() == set(), UP_S)
