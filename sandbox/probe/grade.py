"""Follows the steps of its payload, a JSON list; each is `{"do": …, …}`.

tests, report, done, fail   sent as they are
run      run the learner's response (or `argv`), report what came of it under the id `as`
raw      send these bytes (hex) instead of a frame
flood    send the `frame` for ever
exit, crash, hang, log      what bad graders do
read     report a file of the grader's own
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time

CHANNEL_FD = 3


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


def receive() -> dict[str, object]:
    frame: dict[str, object] = json.loads(read_exactly(int.from_bytes(read_exactly(4), "big")))
    return frame


def run(step: dict[str, object], response: str) -> None:
    frame = {name: value for name, value in step.items() if name not in ("do", "as")}
    frame.setdefault("argv", ["python3", "-I", "-S", "-c", response])
    send({"type": "run", **frame})
    ran = receive()
    score = int(ran["reason"] == "exited" and ran["code"] == 0)
    send({"type": "report", "id": step["as"], "score": score, "output": json.dumps(ran)})


def read(step: dict[str, object]) -> None:
    with open(str(step["path"]), encoding="utf-8") as file:  # noqa: PTH123 - start-up time
        send({"type": "report", "id": step["as"], "score": 0, "output": file.read()})


def follow(step: dict[str, object], response: str) -> None:
    what = step["do"]
    if what == "run":
        run(step, response)
    elif what == "read":
        read(step)
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
        follow(step, job["response"])
    time.sleep(3600)  # done or fail ends us before that


main()
