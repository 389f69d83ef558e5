"""`Isolation.SPLIT_CONTAINER`: the grader in one container, the learner's code in another.

Neither has root or a capability. The grader's supervisor hands each `run` frame to us, the
learner's executes it and answers `ran`. What kills the learner's container (in gVisor, running out
of memory does) costs that execution alone: the next one gets a new container.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Any

from sandbox.backends.docker.containers import ContainerSpec, Role, spec_of
from sandbox.backends.docker.executions import (
    SIGKILL_CODE,
    Bounds,
    bounds_of,
    checked_answer,
    died,
    learner_start_frame,
    timed_out,
)
from sandbox.backends.docker.split_uid import as_preparation, does_not_fit
from sandbox.backends.docker.starting import StartedContainer
from sandbox.backends.docker.strategy import Strategy, Workshop, blaming_image_of
from sandbox.conversation import (
    GRACE_S,
    READY_S,
    Channel,
    Conversation,
    SupervisorLost,
    start_frame,
)
from sandbox.errors import SandboxUnavailable
from sandbox.run import ImageGrader, Preparation, RunRequest, RunResult
from sandbox.supervisor import frames
from sandbox.supervisor.frames import FrameDecoder, FrameError

Frame = dict[str, Any]
GAVE_UP = 70
"""How our supervisor ends when it cannot go on."""


class SplitContainer(Strategy):
    """Two containers per run; each kind has its own shelf in the pool."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    def kinds(self, preparation: Preparation) -> list[ContainerSpec]:
        image = self._workshop.image_of(preparation.grader)
        return [
            spec_of(
                image,
                role,
                preparation.limits,
                runtime=preparation.runtime,
                has_own_files=isinstance(preparation.grader, ImageGrader),
            )
            for role in (Role.GRADER, Role.LEARNER)
        ]

    def run(self, request: RunRequest, files: list[Frame], *, want: bool) -> RunResult:
        grader, learner = self.kinds(as_preparation(request))
        start = start_frame(request, self._workshop.library.beside(files, grader.image))
        asked_at = time.monotonic()
        with (
            blaming_image_of(request.grader),
            LearnersPlace(self._workshop, learner, request, want=want) as place,
            self._workshop.container(grader, request.limits, want=want) as container,
        ):
            place.make_ready()
            prepared_ms = (time.monotonic() - asked_at) * 1000
            conversation = Conversation(
                container.channel,
                request.limits,
                tests=request.tests,
                is_ready=True,
                run_learner=place.execute,
            )
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
        """No learner's code was in there: whatever ended it, it is not the learner's fault."""
        if lost.silent:
            try:
                return self._workshop.after_silence(conversation)
            except SupervisorLost as again:
                lost = again
        if not lost.silent and self._workshop.was_killed_for_memory(container):
            raise does_not_fit(request)
        said = container.channel.stderr or "it said nothing"
        raise SandboxUnavailable(f"{lost}: {said}") from lost


class LearnersPlace:
    """Executes one program after the other, in a container that is replaced when one kills it."""

    def __init__(
        self, workshop: Workshop, spec: ContainerSpec, request: RunRequest, *, want: bool
    ) -> None:
        self._workshop = workshop
        self._spec = spec
        self._limits = request.limits
        self._start = learner_start_frame(request.limits)
        self._want = want
        self._stack = ExitStack()
        self._container: StartedContainer | None = None
        self._answers = FrameDecoder()

    def __enter__(self) -> LearnersPlace:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def make_ready(self) -> StartedContainer:
        """The container for the next program."""
        if self._container is None:
            self._container = self._stack.enter_context(
                self._workshop.container(self._spec, self._limits, want=self._want)
            )
            self._answers = FrameDecoder()
            self._tell(self._container.channel, self._start)
        return self._container

    def execute(self, frame: Frame, run_until: float) -> Frame:
        """The `ran` frame to a `run` frame. Raises SandboxUnavailable when nobody can know it."""
        container, bounds = self.make_ready(), bounds_of(frame, self._limits, run_until)
        try:
            self._tell(container.channel, frames.encode(frame))
            return checked_answer(self._answer(container.channel, bounds), bounds)
        except TimeoutError:
            # An engine that hangs is silent as well.
            self._workshop.require_answer()
            self._throw_away()
            return timed_out(bounds)
        except ConnectionError:
            return self._after_death(container, bounds)
        except FrameError:
            # Only the learner's code can have written that there.
            self._throw_away()
            return died(bounds, out_of_memory=False)

    def _after_death(self, container: StartedContainer, bounds: Bounds) -> Frame:
        """The program took its container along, unless our own supervisor gave up."""
        status = self._workshop.engine.wait_container(container.container_id)
        out_of_memory = self._workshop.was_killed_for_memory(container)
        if self._spec.is_gvisor:
            # Its shim does not always tell the engine (2 of 71 measured). Whoever kills our
            # supervisor from within, which gVisor lets happen, is told the same.
            out_of_memory = out_of_memory or status == SIGKILL_CODE
        self._throw_away()
        # In gVisor no filter keeps a program from taking our limits away from us, so that we fail.
        if status == GAVE_UP and not out_of_memory and not self._spec.is_gvisor:
            said = container.channel.stderr or "it said nothing"
            raise SandboxUnavailable(f"the learner's supervisor gave up: {said}")
        return died(bounds, out_of_memory=out_of_memory)

    def _answer(self, channel: Channel, bounds: Bounds) -> Frame:
        while (answer := self._answers.next_frame()) is None:
            remaining_s = bounds.remaining_s() + GRACE_S
            if remaining_s <= 0:
                raise TimeoutError
            data = channel.receive(remaining_s)
            if not data:
                raise ConnectionResetError
            self._answers.feed(data)
        return answer

    def _tell(self, channel: Channel, data: bytes) -> None:
        channel.send(data, READY_S)

    def _throw_away(self) -> None:
        self._container = None
        self._stack.close()
