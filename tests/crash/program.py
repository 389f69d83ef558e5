"""A program that is killed by tests and started again at once, as an init system would."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from deploy.demo.processes import PROBE_S
from tests.crash.nursery import Child, Nursery
from tests.crash.step import Step

START_S = 60.0
DIE_S = 60.0
LOG_LINES = 30


class Program:
    """Whatever it does, nothing of it is left after `end`."""

    def __init__(
        self,
        name: str,
        *arguments: str,
        nursery: Nursery,
        constants: Mapping[str, object],
        settings: Mapping[str, str],
        directory: Path,
        is_ready: Callable[[], bool] = lambda: True,
    ) -> None:
        self.name = name
        self._nursery = nursery
        self._arguments = arguments
        self._constants = [f"--set={name}={value!r}" for name, value in constants.items()]
        self._settings = settings
        self._directory = directory
        self._log_path = directory / f"{arguments[0].lstrip('-')}.log"
        self._is_ready = is_ready
        self._changed = threading.Condition()
        self._child: Child | None = None
        self._marker = directory / "no-step"
        self._steps = 0
        self._is_back = False
        self._unexpected: list[str] = []

    def start(self, step: Step | None = None) -> None:
        """In place of the one that runs, which is killed; returns before it is ready."""
        self.kill()
        with self._changed:
            self._steps += 1
            self._is_back = False
            self._marker = self._directory / f"{self._log_path.stem}-{self._steps}.died"
            self._launch(step.options(self._marker) if step else [])

    def kill(self) -> None:
        with self._changed:
            child, self._child = self._child, None
        if child is not None:
            child.kill_group()
            child.ended.wait()

    def wait_until_ready(self) -> None:
        """For the program to answer, however often it is started again until then."""
        deadline = time.monotonic() + START_S
        while not self._is_ready():
            assert not self._unexpected, self._unexpected
            assert time.monotonic() < deadline, f"{self.name} did not start:\n{self.log_tail()}"
            time.sleep(PROBE_S)

    @property
    def has_died(self) -> bool:
        """Whether it got to the step that it was last started with."""
        return self._marker.exists()

    def wait_until_died(self, step: Step) -> None:
        """And was started again, if it was more than one process of several that died."""
        deadline = time.monotonic() + DIE_S
        with self._changed:
            if not step.alone:
                self._changed.wait_for(lambda: self._is_back or self._unexpected, DIE_S)
        while step.alone and not self.has_died and time.monotonic() < deadline:
            time.sleep(PROBE_S)  # not our child: nobody tells us
        assert self.has_died, f"{self.name} did not come to its step:\n{self.log_tail()}"

    def assert_well(self) -> None:
        """It has not ended by itself; if it has, it runs again after this."""
        with self._changed:
            unexpected, self._unexpected = self._unexpected, []
        if unexpected:
            self.start()
        assert not unexpected, "\n".join(unexpected)

    def log_tail(self) -> str:
        text = self._log_path.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-LOG_LINES:])

    def _launch(self, options: list[str]) -> None:
        child = self._nursery.start(
            [*self._constants, *options, "--", self.name, *self._arguments],
            settings=self._settings,
            log_path=self._log_path,
        )
        self._child = child
        threading.Thread(target=self._watch, args=(child,), daemon=True).start()

    def _watch(self, child: Child) -> None:
        child.ended.wait()
        with self._changed:
            if child is not self._child:  # killed by us
                return
            if child.status == -signal.SIGKILL and self.has_died and not self._is_back:
                self._launch([])
                self._is_back = True
            else:
                self._child = None
                self._unexpected.append(
                    f"{self.name} ended with status {child.status}:\n{self.log_tail()}"
                )
            self._changed.notify_all()
