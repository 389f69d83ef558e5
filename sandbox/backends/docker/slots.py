"""`Isolation.BOX`: grader and learner in two fresh bubblewrap boxes inside a long-lived slot.

A slot is a container without root, capability, network or anything writable, whose outer system
call filter lets its launcher make boxes; programs in boxes get the strict inner filter. It takes
one submission at a time.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from sandbox.backends.docker.containers import RUNSC, ContainerSpec, Role, spec_of
from sandbox.backends.docker.images import ImageMissing
from sandbox.backends.docker.settings import SlotSettings
from sandbox.backends.docker.slot_pool import Slot, SlotPool
from sandbox.backends.docker.split_uid import as_preparation, does_not_fit
from sandbox.backends.docker.strategy import Strategy, Workshop
from sandbox.boxes import BoxOwners, BoxPrograms, box_isolation, forbids_user_namespaces
from sandbox.bundle import read_grader
from sandbox.conversation import (
    MEMORY_NOTICE,
    TIME_NOTICE,
    Conversation,
    SupervisorLost,
    start_frame,
)
from sandbox.errors import GraderNotUsable, SandboxUnavailable
from sandbox.probe.script import try_a_trivial_run
from sandbox.run import DirectoryGrader, Preparation, RunRequest, RunResult

BASE_NAME = re.compile(r"[a-z][a-z0-9]{0,30}")
LIBRARY = "/xq/lib"
"""The grader library in the image, compiled: a run that brings its own compiles it each time."""
SLOT_PROGRAMS = BoxPrograms(
    bwrap="/usr/bin/bwrap",
    python=Path("/usr/bin/python3"),
    system_folders=(
        *("--symlink", "usr/bin", "/bin"),
        *("--symlink", "usr/lib", "/lib"),
        *("--symlink", "usr/lib64", "/lib64"),
    ),
    configuration=tuple(f"/etc/java-{version}-openjdk" for version in (11, 17, 21, 25)),
    can_disable_userns=True,
)
"""What is where in the images of `deploy/docker/box.Dockerfile`."""
SLOT_OWNERS = BoxOwners(
    memory_is_bounded=True,
    memory_is_shared=True,
    memory_counters=(
        "/sys/fs/cgroup/memory/memory.oom_control",
        "/sys/fs/cgroup/memory.events",
    ),
)
CANNOT = "this host cannot run isolation box, use split-uid here: "


class BoxSlots(Strategy):
    """One slot per run, used again by the next."""

    def __init__(self, workshop: Workshop, settings: SlotSettings) -> None:
        self._workshop = workshop
        self._settings = settings
        self.pool = SlotPool(settings, workshop.pool.take, workshop.remover.take_over)
        self._proven: Preparation | None = None

    def kinds(self, preparation: Preparation) -> list[ContainerSpec]:
        """Proven by a run: that a slot starts says nothing of whether it can make boxes."""
        spec = self._spec(preparation)
        if self._proven is None:
            self._prove(preparation)
        return [spec]

    def run(self, request: RunRequest, files: list[dict[str, Any]], *, want: bool) -> RunResult:
        spec = self._spec(as_preparation(request))
        files = self._workshop.library.beside(files, spec.image)
        start = start_frame(request, files, slot_isolation())
        if want:
            self._workshop.pool.used_again(spec)
        asked_at = time.monotonic()
        lasting_s = request.limits.wall_s
        slot = self.pool.borrow(spec, lasting_s) if want else self.pool.start(spec, lasting_s)
        prepared_ms = (time.monotonic() - asked_at) * 1000
        try:
            result = self._run_in(slot, start, request, want=want)
        except _EndedWhileItWaited:
            asked_at = time.monotonic()
            slot = self.pool.start(spec, lasting_s)
            prepared_ms += (time.monotonic() - asked_at) * 1000
            result = self._run_in(slot, start, request, want=want)
        return replace(result, phases_ms={"prepare": prepared_ms})

    def trouble(self) -> str | None:
        """Why boxes do not work here, if anybody has ever asked for them and they do not."""
        if self._proven is None:
            return None
        try:
            self._prove(self._proven)
        except (SandboxUnavailable, GraderNotUsable) as error:
            return str(error)
        return None

    def _spec(self, preparation: Preparation) -> ContainerSpec:
        grader = preparation.grader
        if not isinstance(grader, DirectoryGrader):
            raise GraderNotUsable("isolation box is for graders without an image of their own")
        if preparation.runtime == RUNSC:
            raise GraderNotUsable("isolation box needs this kernel's namespaces, not runsc's")
        if not BASE_NAME.fullmatch(grader.base):
            raise GraderNotUsable(f"{grader.base!r:.60} is not the name of a base image")
        try:
            image = self._workshop.images.find(self._settings.images.format(base=grader.base))
        except ImageMissing as error:
            raise SandboxUnavailable(f"{error}: run deploy/docker/build.sh") from error
        return spec_of(
            image,
            Role.SLOT,
            preparation.limits,
            runtime=preparation.runtime,
            has_own_files=False,
        )

    def _run_in(self, slot: Slot, start: bytes, request: RunRequest, *, want: bool) -> RunResult:
        conversation = Conversation(
            slot.channel, request.limits, tests=request.tests, is_ready=True
        )
        try:
            return self._hold(conversation, start, slot, request)
        finally:
            if want and conversation.has_ended:
                self.pool.give_back(slot)
            else:
                self.pool.throw_away(slot)

    def _hold(
        self, conversation: Conversation, start: bytes, slot: Slot, request: RunRequest
    ) -> RunResult:
        try:
            return conversation.hold(start)
        except SupervisorLost as first:
            lost = first
        if slot.uses > 0 and not (lost.silent or lost.has_spoken):
            raise _EndedWhileItWaited("the slot ended while it waited") from lost
        if lost.silent:
            try:
                return self._workshop.after_silence(conversation)
            except SupervisorLost as again:
                lost = again
        if lost.learner_active and lost.silent:
            return conversation.cut_short(TIME_NOTICE)
        if not lost.silent and self._workshop.was_killed_for_memory(slot.container):
            if lost.learner_active:
                return conversation.cut_short(MEMORY_NOTICE)
            raise does_not_fit(request)
        said = slot.container.channel.stderr or "it said nothing"
        raise SandboxUnavailable(f"{lost}: {said}") from lost

    def _prove(self, preparation: Preparation) -> None:
        """Raises SandboxUnavailable, saying what forbids it where that can be found out."""
        health = try_a_trivial_run(_Proof(self, preparation))
        if not health.healthy:
            reasons = (*self._forbidden(), *health.problems)
            raise SandboxUnavailable(CANNOT + "; ".join(reasons))
        self._proven = preparation

    def _forbidden(self) -> Iterable[str]:
        with suppress(SandboxUnavailable):
            options = " ".join(self._workshop.engine.info().get("SecurityOptions") or ())
            if "name=apparmor" in options:
                yield "the engine's AppArmor profile forbids mounts in containers"
        forbidden = forbids_user_namespaces()
        if forbidden:
            yield forbidden


class _EndedWhileItWaited(SandboxUnavailable):
    """A slot that had been used before; its end became known only when it was used again."""


class _Proof:
    """Runs whatever it is given in a slot of that kind."""

    def __init__(self, slots: BoxSlots, preparation: Preparation) -> None:
        self._slots = slots
        self._preparation = preparation

    def run(self, request: RunRequest) -> RunResult:
        assert isinstance(request.grader, DirectoryGrader)
        assert isinstance(self._preparation.grader, DirectoryGrader)
        as_prepared = replace(
            request,
            grader=replace(request.grader, base=self._preparation.grader.base),
            limits=self._preparation.limits,
        )
        return self._slots.run(as_prepared, read_grader(request.grader.path, {}), want=True)


def slot_isolation() -> dict[str, Any]:
    """The start frame's `isolation` for a slot."""
    library = ("--ro-bind", LIBRARY, LIBRARY)
    return box_isolation(SLOT_PROGRAMS, SLOT_OWNERS, grader_options=library)
