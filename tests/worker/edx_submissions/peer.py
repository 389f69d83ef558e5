"""Starting that site."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.support.peers import interpreter_with

HERE = Path(__file__).parent
PASSWORD = "secret"


class EdxSubmissions:
    """The running site."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._process = subprocess.Popen(
            [
                str(interpreter_with("edx-submissions", HERE / "requirements.txt")),
                str(HERE / "site.py"),
                str(directory),
                PASSWORD,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def submit(self, response: str = "print(1)", *, queue: str = "python", points: int = 1) -> int:
        return self._ask({"submit": response, "queue": queue, "points": points})["id"]

    def show(self, number: int) -> dict[str, object]:
        return self._ask({"show": number})

    def pretend_pulled(self, number: int, *, seconds_ago: int) -> None:
        self._ask({"pulled_s_ago": seconds_ago, "of": number})

    def log_everybody_out(self) -> None:
        self._ask({"log_out": True})

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def _ask(self, question: dict[str, object]) -> dict[str, object]:
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())
