"""`Isolation.SPLIT_UID`: grader and learner in one container, under two uids."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from sandbox.backends.docker.containers import RUNSC, ContainerSpec, Role, spec_of
from sandbox.backends.docker.starting import StartedContainer
from sandbox.backends.docker.strategy import Strategy, Workshop, blaming_image_of
from sandbox.conversation import (
    MEMORY_NOTICE,
    TIME_NOTICE,
    Conversation,
    SupervisorLost,
    start_frame,
)
from sandbox.errors import GraderNotUsable, SandboxUnavailable
from sandbox.run import ImageGrader, Preparation, RunRequest, RunResult


class SplitUid(Strategy):
    """One container per run, from the pool where it has one."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    def kinds(self, preparation: Preparation) -> list[ContainerSpec]:
        if preparation.runtime == RUNSC:
            raise GraderNotUsable(
                "the runtime runsc does not keep two uids of one container apart: "
                "use isolation split-container"
            )
        grader = preparation.grader
        return [
            spec_of(
                self._workshop.image_of(grader),
                Role.BOTH,
                preparation.limits,
                runtime=preparation.runtime,
                has_own_files=isinstance(grader, ImageGrader),
            )
        ]

    def run(self, request: RunRequest, files: list[dict[str, Any]], *, want: bool) -> RunResult:
        [spec] = self.kinds(as_preparation(request))
        start = start_frame(request, self._workshop.library.beside(files, spec.image))
        asked_at = time.monotonic()
        with (
            blaming_image_of(request.grader),
            self._workshop.container(spec, request.limits, want=want) as container,
        ):
            conversation = Conversation(
                container.channel, request.limits, tests=request.tests, is_ready=True
            )
            prepared_ms = (time.monotonic() - asked_at) * 1000
            try:
                result = conversation.hold(start)
            except SupervisorLost as lost:
                result = self._after(lost, conversation, container, request)
        return replace(result, phases_ms={"prepare": prepared_ms})

    def _after(
        self,
        lost: SupervisorLost,
        conversation: Conversation,
        container: StartedContainer,
        request: RunRequest,
    ) -> RunResult:
        if lost.silent:
            try:
                return self._workshop.after_silence(conversation)
            except SupervisorLost as again:
                lost = again
        if lost.learner_active and lost.silent:
            return conversation.cut_short(TIME_NOTICE)
        if not lost.silent and self._workshop.was_killed_for_memory(container):
            if lost.learner_active:
                return conversation.cut_short(MEMORY_NOTICE)
            raise does_not_fit(request)
        said = container.channel.stderr or "it said nothing"
        raise SandboxUnavailable(f"{lost}: {said}") from lost


def as_preparation(request: RunRequest) -> Preparation:
    """What a run needs, without its submission."""
    return Preparation(
        grader=request.grader,
        limits=request.limits,
        isolation=request.isolation,
        runtime=request.runtime,
    )


def does_not_fit(request: RunRequest) -> GraderNotUsable:
    """Another try would end the same way."""
    memory = f"{request.limits.memory_bytes} bytes of memory"
    return GraderNotUsable(f"grader and submission do not fit into {memory}; raise memory_bytes")
