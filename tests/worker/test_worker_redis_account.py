"""Workers reach Redis as a user that may do no more than they need, also over TLS."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError

from deploy.demo.processes import free_port
from grader_worker.errors import SettingsError
from grader_worker.nudging import RedisAddress
from tests.worker.fakes import eventually, need
from tests.worker.running import OFTEN_S, listening, nudge
from xqueue_server.dispatch import DispatchUnavailable, rq
from xqueue_server.dispatch.rq import RqDispatcher

PASSWORD = "REDIS-PASSWORD"
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "worker.md"


@pytest.fixture(scope="module")
def rule() -> list[str]:
    """As the reference says it, for this test's password."""
    found = re.search(r"^user xqueue (on >PASSWORD .*)$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert found, "docs/reference/worker.md has no ACL rule"
    return found[1].replace("PASSWORD", PASSWORD).split()


@pytest.fixture
def guarded(new_redis, rule) -> Iterator[SimpleNamespace]:
    """Its `client` may do anything, its `url` is the user's."""
    redis = new_redis(None, "--user", "xqueue", *rule)
    redis.url = f"redis://xqueue:{PASSWORD}@127.0.0.1:{redis.port}/1"
    redis.client = Redis(port=redis.port, db=1)
    yield redis
    redis.client.close()


@pytest.fixture
def unhurried(monkeypatch):
    """A server that waits longer than its second, which a busy machine may take to answer."""
    monkeypatch.setattr(rq, "REDIS_TIMEOUT_S", 30)


def denied(redis) -> list[object]:
    return redis.client.acl_log()


def test_the_documented_rule_is_enough(run, guarded, xqueue, sandboxd_process):
    """For the server's nudges, refused jobs, maintenance, and looking by itself."""
    sandboxd_process()
    workers = run(guarded.url, look_every_s=OFTEN_S)
    eventually(lambda: listening(guarded) == 1)
    job = nudge(guarded, "os.system", ("true",))
    eventually(lambda: job.get_status(refresh=True) == "failed")
    number = xqueue.submit()
    RqDispatcher(guarded.url).nudge("python")
    xqueue.until(lambda xqueue: number in xqueue.results)
    guarded.client.flushdb()
    number = xqueue.submit()
    xqueue.until(lambda xqueue: number in xqueue.results)
    workers.send_signal(15)
    assert workers.wait(60) == 0
    assert denied(guarded) == []


@pytest.mark.parametrize(
    "command",
    [
        ("FLUSHALL",),
        ("FLUSHDB",),
        ("CONFIG", "GET", "*"),
        ("KEYS", "*"),
        ("GET", "somebody-elses"),
        ("SET", "somebody-elses", "1"),
        ("EVAL", "return 1", "0"),
        ("ACL", "LIST"),
        ("PUBLISH", "somebody-elses", "1"),
        ("SHUTDOWN",),
    ],
)
def test_the_documented_rule_allows_nothing_else(guarded, command):
    with RedisAddress(url=guarded.url).connect() as client, pytest.raises(NoPermissionError):
        client.execute_command(*command)


def test_a_user_that_may_not_even_register_does_not_stop_the_grading(
    run, new_redis, xqueue, sandboxd_process
):
    redis = new_redis(None, "--user", "xqueue", "on", f">{PASSWORD}", "+ping")
    sandboxd_process()
    run(f"redis://xqueue:{PASSWORD}@127.0.0.1:{redis.port}/0")
    for _ in range(2):
        number = xqueue.submit()
        xqueue.until(lambda xqueue, number=number: number in xqueue.results)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> SimpleNamespace:
    """Of 127.0.0.1, signed by itself."""
    directory = tmp_path_factory.mktemp("tls")
    found = SimpleNamespace(key=directory / "key.pem", cert=directory / "cert.pem")
    command = (
        *(need("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
        *("-subj", "/CN=redis", "-addext", "subjectAltName=IP:127.0.0.1"),
        *("-keyout", str(found.key), "-out", str(found.cert)),
    )
    subprocess.run(command, check=True, capture_output=True)
    return found


@pytest.fixture
def behind_tls(new_redis, rule, certificate) -> SimpleNamespace:
    tls_port = free_port()
    redis = new_redis(
        None,
        *("--tls-port", tls_port, "--tls-auth-clients", "no"),
        *("--tls-cert-file", certificate.cert, "--tls-key-file", certificate.key),
        *("--tls-ca-cert-file", certificate.cert, "--user", "xqueue", *rule),
    )
    redis.url = f"rediss://xqueue:{PASSWORD}@127.0.0.1:{tls_port}/0"
    return redis


def test_a_redis_behind_tls_is_reached_with_its_authority(
    run, behind_tls, certificate, xqueue, sandboxd_process, tmp_path
):
    sandboxd_process()
    log = tmp_path / "log"
    workers = run(behind_tls.url, "--redis-ca-bundle", certificate.cert, stderr=log)
    eventually(lambda: listening(behind_tls) == 1)
    number = xqueue.submit()
    nudge(behind_tls)
    xqueue.until(lambda xqueue: number in xqueue.results)
    line = Path(f"/proc/{workers.process.pid}/cmdline").read_text()
    assert PASSWORD not in line
    assert PASSWORD not in log.read_text()


def test_a_redis_whose_certificate_nobody_vouches_for_is_not_talked_to(
    run, behind_tls, xqueue, sandboxd_process
):
    sandboxd_process()
    run(behind_tls.url)
    number = xqueue.submit()
    xqueue.until(lambda xqueue: number in xqueue.results)
    assert listening(behind_tls) == 0


@pytest.mark.usefixtures("unhurried")
def test_a_server_reaches_it_in_the_same_way(behind_tls, certificate):
    assert RqDispatcher(behind_tls.url, ca_bundle=certificate.cert).top_up("python", 1) == 1
    with pytest.raises(DispatchUnavailable):
        RqDispatcher(behind_tls.url).top_up("python", 2)


@pytest.mark.usefixtures("unhurried")
def test_both_reach_a_redis_on_this_host_by_its_socket(new_redis, tmp_path):
    socket = tmp_path / "redis.sock"
    new_redis(None, "--unixsocket", socket)
    assert RqDispatcher(f"unix://{socket}").top_up("python", 1) == 1
    with RedisAddress(url=f"unix://{socket}").connect() as client:
        assert client.llen("rq:queue:xqueue:python") == 1


def test_the_address_is_not_in_the_repr():
    assert PASSWORD not in repr(RedisAddress(url=f"redis://:{PASSWORD}@h:1/0"))


def test_an_address_that_can_not_be_read_is_not_repeated():
    with pytest.raises(SettingsError) as caught:
        RedisAddress(url=f"redis://:{PASSWORD}@h:port/0").connect()
    assert PASSWORD not in str(caught.value)
