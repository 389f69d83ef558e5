"""Graders that are images, from an author's build to a host that is ready for them or says why not:
through a real registry, a real server and a worker that is told nothing but its queue.

Author and host have one Docker Engine here, so what the author built is removed from it, and
published as from a machine without Docker: whatever is there afterwards, the host has fetched.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import docker
import pytest
import requests
from docker.errors import ImageNotFound

from deploy.demo.gradebook import InputStatus
from deploy.demo.lms import StandInLms
from deploy.demo.processes import LongRunning
from graders.publishing.docker_program import BUILD_NETWORK
from tests.acceptance.classroom import RIGHT, Submitted, submit
from tests.acceptance.site import QUEUE, Author, Site
from tests.images.conftest import FILES, GRADER_YAML
from tests.images.registry import Registry
from tests.kit.written import SQUARE, write_files
from tests.worker.fakes import eventually

READY_S = 120.0
"""Two rounds of the worker, a pull and an examination, on a busy machine."""
GRADE_S = 120.0
DRAIN_S = 60.0
ANSWER_S = 60.0
ECHO_5 = replace(RIGHT, answer="echo 5")
ANY_GRADER = "{}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    directory: Path
    reference: str
    """By digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """An author's desk, and a look at the hosts."""

    author: Author
    registry: Registry
    engine: docker.DockerClient
    directory: Path
    made: list[str]

    def push(self, name: str, *, expected: str) -> Pushed:
        """A grader whose right answer is that: in the registry, and not on this machine."""
        yaml = GRADER_YAML.replace("name: sums", f"name: {name}")
        own = {"grader.yaml": yaml, "expected": f"{expected}\n", "serial": secrets.token_hex(8)}
        directory = write_files(self.directory / f"{name}-{expected}", {**FILES, **own})
        (directory / "grade").chmod(0o755)
        place = f"{self.registry.host}/cs101/{name}"
        reference = self.author.graders("build", "--quiet", str(directory), "--push", place).strip()
        image_id = self.engine.images.get(reference).id
        self.made.append(image_id)
        self.engine.images.remove(image_id, force=True)
        assert not self.host_has(reference)
        return Pushed(directory=directory, reference=reference)

    def publish(self, pushed: Pushed) -> None:
        with pytest.MonkeyPatch.context() as without_docker:
            without_docker.setenv("DOCKER_HOST", f"unix://{self.directory}/nobody")
            source = ("--queue", QUEUE, "--image", pushed.reference)
            self.author.graders("publish", str(pushed.directory), *source)

    def publish_directory(self) -> None:
        """Another grader, without an image."""
        directory = write_files(self.directory / "square", {"grader.yaml": SQUARE})
        self.author.graders("publish", str(directory), "--queue", QUEUE)

    def forget_all(self) -> None:
        for image_id in self.made:
            with suppress(ImageNotFound):
                self.engine.images.remove(image_id, force=True)

    def host_has(self, reference: str) -> bool:
        try:
            self.engine.images.get(reference)
        except ImageNotFound:
            return False
        return True

    def rollback(self, name: str) -> None:
        self.author.graders("rollback", name, "--queue", QUEUE)

    # -- what the server says of the hosts -----------------------------------------------------

    def readiness(self, name: str, version: int) -> list[dict[str, Any]]:
        """From `/api/v1`."""
        token = self.author.token_file.read_text().strip()
        answer = requests.get(
            f"{self.author.url}/api/v1/graders/{QUEUE}/{name}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=ANSWER_S,
        )
        assert answer.status_code == 200, answer.text
        return [host for host in answer.json()["readiness"] if host["version"] == version]

    def await_ready(self, name: str, version: int) -> None:
        eventually(lambda: [h["ready"] for h in self.readiness(name, version)] == [True], READY_S)
        shown = self.author.graders("versions", name, "--queue", QUEUE)
        assert f"version {version} ready" in shown

    def await_not_ready(self, name: str, version: int) -> str:
        """The reason."""
        eventually(lambda: [h["ready"] for h in self.readiness(name, version)] == [False], READY_S)
        shown = self.author.graders("versions", name, "--queue", QUEUE)
        assert f"version {version} NOT READY: " in shown
        return str(self.readiness(name, version)[0]["problem"])


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    registry = Registry(tmp_path / "registry")
    registry.start()
    yield registry
    registry.stop()


@pytest.fixture
def images_go(engine: docker.DockerClient) -> Iterator[Callable[[Shop], None]]:
    """Set up before the host, so that it happens when no container needs them any more."""
    shops: list[Shop] = []
    yield shops.append
    for shop in shops:
        shop.forget_all()


@pytest.fixture
def sandboxd(images_go: object, server_site: Site, registry: Registry) -> Iterator[LongRunning]:
    """Ends before the images go."""
    server_site.start_deliver()
    sandboxd = server_site.start_sandboxd("docker", "--pool-size", "1", "--registry", registry.host)
    yield sandboxd
    sandboxd.stop(DRAIN_S)  # not killed: its waiting containers go with it


@pytest.fixture
def site(server_site: Site, sandboxd: LongRunning) -> Site:
    server_site.start_worker("poll")
    return server_site


@pytest.fixture
def shop(
    site: Site,
    registry: Registry,
    engine: docker.DockerClient,
    images_go: Callable[[Shop], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Shop:
    monkeypatch.setenv(BUILD_NETWORK, "none")
    shop = Shop(author=site.author(), registry=registry, engine=engine, directory=tmp_path, made=[])
    images_go(shop)
    return shop


def hand_in(site: Site, lms: StandInLms, payload: str = ANY_GRADER) -> Submitted:
    return submit(lms, site.capa(), ECHO_5, payload=payload)


def grade_of(lms: StandInLms, submitted: Submitted) -> InputStatus:
    return lms.wait_for_grade(submitted.where, GRADE_S).status


def failed_preparations(sandboxd: LongRunning) -> int:
    """One in every round of the worker in which a grader can not be made ready."""
    return sandboxd.log_path.read_text().count('"sandbox-unavailable"')


def stored(site: Site) -> list[dict[str, Any]]:
    """All submissions, the oldest first."""
    return sorted(site.ask("submission", "list"), key=lambda found: found["id"])


def test_an_image_is_fetched_before_a_learner_waits_and_rolled_back_at_once(
    site: Site, lms: StandInLms, shop: Shop
) -> None:
    first, second = shop.push("sums", expected="5"), shop.push("sums", expected="6")
    shop.publish(first)
    shop.await_ready("sums", 1)
    assert shop.host_has(first.reference), "fetched by its digest, while there is no submission"
    assert grade_of(lms, hand_in(site, lms)) is InputStatus.CORRECT

    shop.publish(second)
    shop.await_ready("sums", 2)
    assert shop.host_has(second.reference)
    assert grade_of(lms, hand_in(site, lms)) is InputStatus.INCORRECT

    shop.rollback("sums")
    assert grade_of(lms, hand_in(site, lms)) is InputStatus.CORRECT
    assert [found["platform_failures"] for found in stored(site)] == [0, 0, 0]


def test_a_host_that_can_not_fetch_an_image_says_so_and_takes_no_work_for_it(
    site: Site, lms: StandInLms, shop: Shop, registry: Registry, sandboxd: LongRunning
) -> None:
    sums = shop.push("sums", expected="5")
    registry.stop()
    shop.publish(sums)
    assert "can not be fetched" in shop.await_not_ready("sums", 1)

    waiting = hand_in(site, lms)
    failures = []
    for _ in range(3):
        tried = failed_preparations(sandboxd)
        eventually(lambda tried=tried: failed_preparations(sandboxd) > tried, READY_S)
        eventually(lambda: [each["state"] for each in stored(site)] == ["queued"], GRADE_S)
        [found] = stored(site)
        failures.append(found["platform_failures"])
    # One, when a long poll was under way as the grader became the queue's; then no more.
    assert failures[1:] in ([0, 0], [1, 1])
    assert lms.callbacks == ()

    registry.start()
    shop.await_ready("sums", 1)
    assert grade_of(lms, waiting) is InputStatus.CORRECT
    [found] = stored(site)
    assert (found["attempt"], [found["platform_failures"]]) == (1, failures[2:]), "no attempt lost"


def test_a_version_that_can_not_be_fetched_is_rolled_back_and_nobodys_grade_is_lost(
    site: Site, lms: StandInLms, shop: Shop, registry: Registry
) -> None:
    good, gone = shop.push("sums", expected="5"), shop.push("sums", expected="6")
    registry.delete(gone.reference)
    shop.publish(good)
    shop.await_ready("sums", 1)
    shop.publish(gone)
    assert "does not have" in shop.await_not_ready("sums", 2)

    waiting = hand_in(site, lms)
    shop.rollback("sums")

    assert grade_of(lms, waiting) is InputStatus.CORRECT


def test_one_grader_that_is_not_ready_leaves_the_queues_others_at_work(
    site: Site, lms: StandInLms, shop: Shop, registry: Registry
) -> None:
    shop.publish_directory()
    shop.await_ready("square", 1)
    sums = shop.push("sums", expected="5")
    registry.stop()
    shop.publish(sums)
    shop.await_not_ready("sums", 1)

    waiting = hand_in(site, lms, '{"grader": "sums"}')
    eventually(lambda: stored(site)[0]["platform_failures"] > 0, GRADE_S)
    other = submit(lms, site.capa(), RIGHT, payload=ANY_GRADER)
    assert grade_of(lms, other) is InputStatus.CORRECT
    assert lms.state(waiting.where).status is InputStatus.PENDING
    assert stored(site)[0]["attempt"] == 1, "no attempt is burnt"

    registry.start()
    shop.await_ready("sums", 1)
    assert grade_of(lms, waiting) is InputStatus.CORRECT
