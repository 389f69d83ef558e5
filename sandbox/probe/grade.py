"""Follows the steps of its payload, a JSON list; each is `{"do": …, …}`.

tests, report, done, fail   sent as they are
run      run the learner's response (or `argv`), report what came of it under the id `as`; with
         `expect` (base64) the point is for exactly that stdout, without it for exit status 0
import   report where a module came from, and where modules are looked for
names    report the names of the job's files
raw      send these bytes (hex) instead of a frame
flood    send the `frame` for ever
exit, crash, hang, log      what bad graders do
read     report a file of the grader's own
write    write such a file, readable for everybody if its folder lets them
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
from typing import Any

CHANNEL_FD = 3
MOST_OF_A_FILE = 4096


def send_bytes(data: bytes) -> None:
    while data:
        data = data[os.write(CHANNEL_FD, data) :]


def send(frame: dict[str, object]) -> None:
    body = json.dumps(frame).encode()
    send_bytes(len(body).to_bytes(4, "big") + body)


def read_exactly(count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = os.read(CHANNEL_FD, count - len(data))
        if not part:
            sys.exit(9)
        data += part
    return data


def receive() -> dict[str, Any]:
    frame: dict[str, Any] = json.loads(read_exactly(int.from_bytes(read_exactly(4), "big")))
    return frame


def run(step: dict[str, object], response: str) -> None:
    frame = {name: value for name, value in step.items() if name not in ("do", "as", "expect")}
    frame.setdefault("argv", ["python3", "-I", "-S", "-c", response])
    send({"type": "run", **frame})
    ran = receive()
    score = int(ran["reason"] == "exited" and ran["code"] == 0)
    if "expect" in step:
        score = int(ran["stdout"] == step["expect"])
    send({"type": "report", "id": step["as"], "score": score, "output": reportable(ran)})


def reportable(ran: dict[str, Any]) -> str:
    """As text that a report holds: of large files only how large they are."""
    files = ran.pop("files", {})
    small = {name: text for name, text in files.items() if len(text) <= MOST_OF_A_FILE}
    sizes = {name: len(text) * 3 // 4 for name, text in files.items()}
    return json.dumps({**ran, "files": small, "file_sizes": sizes})


def read(step: dict[str, object]) -> None:
    with open(str(step["path"]), encoding="utf-8") as file:  # noqa: PTH123 - start-up time
        send({"type": "report", "id": step["as"], "score": 0, "output": file.read()})


def import_one(step: dict[str, object]) -> None:
    module = importlib.import_module(str(step["name"]))
    found = {"file": getattr(module, "__file__", None), "path": sys.path}
    send({"type": "report", "id": step["as"], "score": 0, "output": json.dumps(found)})


def write(step: dict[str, object]) -> None:
    path = str(step["path"])
    with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123 - start-up time
        file.write(str(step["text"]))
    os.chmod(path, 0o644)  # noqa: PTH101 - as careless graders do


def tell_names(step: dict[str, object], job: dict[str, Any]) -> None:
    names = json.dumps(sorted(job["files"]))
    send({"type": "report", "id": step["as"], "score": 0, "output": names})


def follow(step: dict[str, object], job: dict[str, Any]) -> None:
    what = step["do"]
    if what == "run":
        run(step, job["response"])
    elif what == "names":
        tell_names(step, job)
    elif what == "read":
        read(step)
    elif what == "write":
        write(step)
    elif what == "import":
        import_one(step)
    elif what == "raw":
        send_bytes(bytes.fromhex(str(step["hex"])))
    elif what == "flood":
        while True:
            send(dict(step["frame"]))  # type: ignore[call-overload]
    elif what == "exit":
        os._exit(int(str(step["code"])))
    elif what == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif what == "hang":
        time.sleep(3600)
    elif what == "log":
        os.write(2, str(step["text"]).encode())
    else:
        send({**{name: value for name, value in step.items() if name != "do"}, "type": what})


def main() -> None:
    job = receive()["job"]
    assert isinstance(job, dict)
    for step in json.loads(job["payload"]):
        follow(step, job)
    time.sleep(3600)  # done or fail ends us before that


main()
