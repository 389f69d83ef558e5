"""Runs graders in containers of a Docker Engine, local or remote.

How grader and learner are kept apart is a strategy per `Isolation`; all of them get their
containers from one pool and leave them to one remover.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from sandbox.backend import BackendDescription, BackendHealth, SandboxBackend
from sandbox.backends.docker.containers import RUNSC, ContainerSpec
from sandbox.backends.docker.engine import EngineClient
from sandbox.backends.docker.grader_images import GraderImages
from sandbox.backends.docker.image_age import ImageAges
from sandbox.backends.docker.image_walk import ImageWalk
from sandbox.backends.docker.images import ImageLookup
from sandbox.backends.docker.labels import LABEL, Ownership
from sandbox.backends.docker.learner_uids import LearnerUids, maps_users
from sandbox.backends.docker.legacy import Legacy
from sandbox.backends.docker.minding import EngineWatch, Minder
from sandbox.backends.docker.pool import COLD_MARGIN_S, WarmPool
from sandbox.backends.docker.prepared import PreparedGraders
from sandbox.backends.docker.pulling import ImagePuller
from sandbox.backends.docker.removal import Remover
from sandbox.backends.docker.settings import DockerSettings
from sandbox.backends.docker.shipped_library import ShippedLibrary
from sandbox.backends.docker.slots import BoxSlots
from sandbox.backends.docker.split_container import SplitContainer
from sandbox.backends.docker.split_uid import SplitUid
from sandbox.backends.docker.starting import ContainerStarter
from sandbox.backends.docker.strategy import Strategy, Workshop, blaming_image_of
from sandbox.backends.docker.where import find_engine
from sandbox.bundle import read_grader
from sandbox.errors import GraderNotUsable, SandboxUnavailable
from sandbox.probe.script import try_a_trivial_run
from sandbox.run import (
    DirectoryGrader,
    ImageGrader,
    Isolation,
    Preparation,
    RunRequest,
    RunResult,
)
from sandbox.seccomp import docker_profile
from sandbox.uids import choose_at_random

FILL_S = 120.0


class DockerBackend(SandboxBackend):
    """`library` are modules (path -> source) that every directory grader may import."""

    def __init__(
        self,
        settings: DockerSettings | None = None,
        *,
        library: Mapping[str, bytes] | None = None,
        choose_uid: Callable[[range], int] = choose_at_random,
        seccomp: Callable[[], str] = docker_profile,
    ) -> None:
        self._settings = settings = settings or DockerSettings()
        self._library = dict(library or {})
        self._address = find_engine(settings.docker_host)
        self._engine = EngineClient(self._address, timeout_s=settings.api_timeout_s)
        self._ownership = Ownership()
        self._images = ImageLookup(self._engine)
        self._ages = ImageAges(self._engine)
        uids = LearnerUids(self._engine, choose_uid)
        self._starter = ContainerStarter(
            self._engine, self._images, self._ownership, seccomp=seccomp, uids=uids
        )
        self._grader_images = GraderImages(
            self._engine,
            self._images,
            ImagePuller(self._engine),
            ImageWalk(self._engine, self._starter, self._ownership, uids=uids),
            registries=settings.registries,
        )
        self._remover = Remover(self._engine.remove_container, self._starter.removed)
        self._pool = WarmPool(settings.pool, self._starter.start, self._remover.take_over)
        self._prepared = PreparedGraders()
        self._watch = EngineWatch(self._engine, ping_timeout_s=settings.ping_timeout_s)
        self._strategies = self._make_strategies()
        self._minder: Minder | None = None
        self._minder_lock = threading.Lock()
        self._is_closed = False

    def run(self, request: RunRequest) -> RunResult:
        return self._run(request, want=True)

    def prepare(self, preparation: Preparation) -> datetime | None:
        strategy = self._strategy(preparation.isolation, preparation.runtime)
        self._files(preparation)
        self._watch.require()
        self._make_image_ready(preparation, strategy)
        kinds = strategy.kinds(preparation)
        with (
            blaming_image_of(preparation.grader),
            self._prepared.asked_for(preparation, kinds) as is_new,
        ):
            for spec in kinds:
                self._make_kind_ready(spec, is_new=is_new)
        created = [self._ages.base_created(spec.image) for spec in kinds]
        return created[0] if created else None

    def _make_kind_ready(self, spec: ContainerSpec, *, is_new: bool) -> None:
        if not is_new:
            self._pool.require_startable(spec)
        elif self._settings.pool.size:
            self._ensure_minder()
            self._pool.fill(spec, FILL_S)
        else:
            self._starter.discard(self._starter.start(spec, COLD_MARGIN_S))

    def check(self) -> BackendHealth:
        """A run in a container of its own: those of the pool say nothing of whether the engine
        can still make one."""
        health = try_a_trivial_run(_Uncounted(self))
        trouble = self._starter.trouble or self._slots.trouble()
        if health.healthy and trouble is not None:
            return BackendHealth(healthy=False, problems=(trouble,))
        return health

    def describe(self) -> BackendDescription:
        try:
            version, info = self._engine.version(), self._engine.info()
        except SandboxUnavailable as error:
            return BackendDescription(name="docker", version="?", unenforced=(str(error),))
        return BackendDescription(
            name="docker",
            version=version["Version"],
            unenforced=(*_missing_limits(info), *self._allowed_to_be_forged()),
            counters=self._pool.counters | self._slots.pool.counters,
            hands_out_root=not maps_users(info) and not self._is_engine_beside_us(),
        )

    def _is_engine_beside_us(self) -> bool:
        try:
            return self._address.is_beside_us(self._settings.api_timeout_s)
        except OSError:
            return False

    def reap(self) -> int:
        """Containers past their time, those of dead processes of this host, and those of ours
        that we have lost."""
        known = self._starter.known
        found = self._engine.list_containers(LABEL)
        orphans = [one["Id"] for one in found if self._ownership.is_orphan(one, known)]
        for container_id in orphans:
            self._engine.remove_container(container_id)
        return len(orphans) + self._remover.retry()

    def settle(self) -> None:
        self._remover.settle()

    def close(self) -> None:
        with self._minder_lock:
            self._is_closed = True
            minder, self._minder = self._minder, None
        if minder is not None:
            minder.close()
        self._slots.pool.close()
        self._pool.close()
        self._remover.close()
        with suppress(SandboxUnavailable):
            self._remove_lost()
        self._engine.close()

    def _run(self, request: RunRequest, *, want: bool) -> RunResult:
        began_at = time.monotonic()
        strategy = self._strategy(request.isolation, request.runtime)
        files = self._files(request)
        self._watch.require()
        if want and (self._settings.pool.size or strategy is self._slots):
            self._ensure_minder()
        self._pool.run_begins()
        try:
            self._require_examined_image(request, strategy)
            result = strategy.run(request, files, want=want)
        except SandboxUnavailable:
            # Whether the engine as a whole is to blame decides how soon the next run gives up.
            self._watch.look()
            raise
        finally:
            self._pool.run_ended()
        took_ms = (time.monotonic() - began_at) * 1000
        # Containers are removed after the answer, so there is nothing to clean up before it.
        phases = {"prepare": 0.0, "run": took_ms, "cleanup": 0.0, **result.phases_ms}
        phases["run"] = took_ms - phases["prepare"]
        return replace(result, phases_ms=phases)

    def _remove_lost(self) -> None:
        """Containers of ours that we do not know of: the answer to a request got lost."""
        if self._starter.trouble_seen:
            for container in self._engine.list_containers(self._ownership.own_label):
                self._engine.remove_container(container["Id"])

    def _make_strategies(self) -> dict[Isolation, Strategy]:
        workshop = Workshop(
            settings=self._settings,
            engine=self._engine,
            images=self._images,
            pool=self._pool,
            remover=self._remover,
            library=ShippedLibrary(self._library),
        )
        self._slots = BoxSlots(workshop, self._settings.slots)
        by_uid, by_container = SplitUid(workshop), SplitContainer(workshop)
        self._by_our_supervisor: tuple[Strategy, ...] = (by_uid, by_container)
        return {
            Isolation.SPLIT_UID: by_uid,
            Isolation.SPLIT_CONTAINER: by_container,
            Isolation.BOX: self._slots,
            Isolation.NONE: Legacy(workshop, self._starter, self._ownership),
        }

    def _strategy(self, isolation: Isolation | None, runtime: str | None) -> Strategy:
        if isolation is None:
            isolation = Isolation.SPLIT_CONTAINER if runtime == RUNSC else Isolation.SPLIT_UID
        try:
            return self._strategies[isolation]
        except KeyError:
            offered = ", ".join(self._strategies)
            raise GraderNotUsable(
                f"docker offers no isolation {isolation}, but {offered}"
            ) from None

    def _files(self, what: RunRequest | Preparation) -> list[dict[str, Any]]:
        grader = what.grader
        if isinstance(grader, DirectoryGrader):
            return read_grader(grader.path, {})
        return []

    def _make_image_ready(self, preparation: Preparation, strategy: Strategy) -> None:
        grader, runtime = preparation.grader, preparation.runtime
        if not isinstance(grader, ImageGrader):
            return
        if strategy in self._by_our_supervisor:
            self._grader_images.make_ready(grader.image, runtime=runtime)
        elif self._settings.allow_legacy.get(grader.image):
            self._grader_images.fetch(grader.image)

    def _require_examined_image(self, request: RunRequest, strategy: Strategy) -> None:
        """Once for each image, and long before, where runs are prepared."""
        grader = request.grader
        if isinstance(grader, ImageGrader) and strategy in self._by_our_supervisor:
            with blaming_image_of(grader):
                self._grader_images.require_examined(grader.image, runtime=request.runtime)

    def _ensure_minder(self) -> None:
        with self._minder_lock:
            if self._minder is None and not self._is_closed:
                self._minder = Minder(
                    watch=self._watch,
                    pool=self._pool,
                    slots=self._slots.pool,
                    images=self._images,
                    remover=self._remover,
                    interval_s=self._settings.pool.tend_interval_s,
                )

    def _allowed_to_be_forged(self) -> Iterator[str]:
        for image, reason in self._settings.allow_legacy.items():
            yield f"grades of {image} can be forged by learners; allowed because: {reason}"


class _Uncounted:
    """Runs that neither use the pool nor make it hold anything ready."""

    def __init__(self, backend: DockerBackend) -> None:
        self._backend = backend

    def run(self, request: RunRequest) -> RunResult:
        return self._backend._run(request, want=False)


def _missing_limits(info: Mapping[str, Any]) -> Iterator[str]:
    for key, sentence in (
        ("MemoryLimit", "this engine cannot limit memory"),
        ("PidsLimit", "this engine cannot limit processes"),
        ("CpuCfsQuota", "this engine cannot limit processors"),
    ):
        if not info.get(key):
            yield sentence
    if not info.get("SwapLimit"):
        yield "this engine cannot limit swap: a submission may use swap beyond its memory limit"
    if "name=seccomp" not in " ".join(info.get("SecurityOptions") or ()):
        yield "this engine filters no system calls"
