"""Running the programs of this folder."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Self

from tests.support.peers import interpreter_with

HERE = Path(__file__).parent
ANSWER_WITHIN_S = 60


def ask(program: str, question: object) -> Any:
    done = subprocess.run(
        [str(interpreter_with("event-bus", HERE / "requirements.txt")), str(HERE / program)],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        check=True,
        timeout=ANSWER_WITHIN_S,
    )
    return json.loads(done.stdout)


class Consumer:
    """A running service that listens."""

    def __init__(self, redis_url: str, topic_prefix: str = "") -> None:
        self._process = subprocess.Popen(
            [
                str(interpreter_with("event-bus", HERE / "requirements.txt")),
                str(HERE / "consumer.py"),
                redis_url,
                topic_prefix,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.next() == "listening"

    def next(self) -> Any:
        """The next event that has come in; waits for it."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the consumer has ended"
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
