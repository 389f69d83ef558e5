"""Nothing of one submission is visible to, or felt by, the next one in the same slot."""

import threading

import pytest

from sandbox.probe.script import one_run, probe_request, ran
from sandbox.run import MIB, DirectoryGrader, ExitReason, Limits

LIMITS = Limits(wall_s=60, learner_wall_s=20, learner_cpu_s=10, memory_bytes=128 * MIB)

LIBC = "import ctypes, os; libc = ctypes.CDLL(None, use_errno=True)\n"
LEAVES_AND_FINDS = {
    "files": (
        "for d in ('/box', '/tmp'): open(d + '/left', 'w').write('x')",
        "import os; print(os.listdir('/box') + os.listdir('/tmp') + os.listdir('/dev/shm'))",
        "[]",
    ),
    "processes": (
        """
import os, time
for _ in range(5):
    if os.fork() == 0:
        os.setsid()
        for fd in (0, 1, 2):
            os.close(fd)
        time.sleep(600)
""",
        "import os; print(sum(name.isdigit() for name in os.listdir('/proc')) <= 3)",
        "True",
    ),
    "shared memory": (
        LIBC + "assert libc.shmget(4711, 1 << 20, 0o1666) >= 0",
        LIBC + "print(libc.shmget(4711, 0, 0))",
        "-1",
    ),
    "message queues": (
        LIBC + "assert libc.msgget(4711, 0o1666) >= 0",
        LIBC + "print(libc.msgget(4711, 0), len(open('/proc/sysvipc/msg').readlines()))",
        "-1 1",
    ),
    "semaphores": (
        LIBC + "assert libc.semget(4711, 1, 0o1666) >= 0",
        LIBC + "print(libc.semget(4711, 0, 0))",
        "-1",
    ),
    "abstract sockets": (
        """
import os, socket, time
s = socket.socket(socket.AF_UNIX); s.bind("\\0left"); s.listen()
if os.fork() == 0:
    os.setsid()
    for fd in (0, 1, 2):
        os.close(fd)
    time.sleep(600)
""",
        """
import socket
try:
    socket.socket(socket.AF_UNIX).connect("\\0left"); print("found")
except OSError as error:
    print(type(error).__name__)
""",
        "ConnectionRefusedError",
    ),
    "loopback ports": (
        """
import os, socket, time
s = socket.socket(); s.bind(("127.0.0.1", 4711)); s.listen()
if os.fork() == 0:
    os.setsid()
    for fd in (0, 1, 2):
        os.close(fd)
    time.sleep(600)
""",
        """
import socket
s = socket.socket(); s.bind(("127.0.0.1", 4711)); s.listen(); print("free")
""",
        "free",
    ),
    "keys": (
        LIBC
        + "libc.syscall({'x86_64': 248}.get(os.uname().machine, 217), b'user', b'xq', b'l', 1, -3)",
        LIBC
        + "n = {'x86_64': 250}.get(os.uname().machine, 219)\n"
        + "print(libc.syscall(n, 10, ctypes.c_int(-3), b'user', b'xq', 0), ctypes.get_errno())",
        "-1 1",
    ),
    "descriptors": (
        "import os; [os.dup(0) for _ in range(100)]",
        "import os; print(sorted(os.listdir('/proc/self/fd'))[:4])",
        "['0', '1', '2', '3']",
    ),
    "folder and mask": (
        "import os; os.chdir('/usr'); os.umask(0o521)",
        "import os; print(os.getcwd(), os.umask(0) != 0o521)",
        "/box True",
    ),
    "watches": (
        LIBC + "[libc.inotify_init() for _ in range(128)]",
        LIBC + "print(sum(libc.inotify_init() >= 0 for _ in range(100)))",
        "100",
    ),
    "memory": (
        "a = bytearray(90 << 20); b = open('/box/big', 'wb').write(bytes(8 << 20))",
        "a = bytearray(90 << 20); print(len(a))",
        str(90 << 20),
    ),
    "the limits of a process": (
        "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (10, 10))",
        "import resource as r; print(r.getrlimit(r.RLIMIT_NOFILE)[0] > 100)",
        "True",
    ),
}


def submit(boxes, code):
    result = boxes.run(probe_request(one_run(), code, limits=LIMITS))
    assert result.reason is ExitReason.COMPLETED, result
    return ran(result.reports[0])


@pytest.mark.parametrize("what", LEAVES_AND_FINDS)
def test_the_next_submission_in_the_slot_finds_nothing(open_boxes, what):
    leave, find, expected = LEAVES_AND_FINDS[what]
    boxes = open_boxes()
    assert submit(boxes, leave).code == 0
    found = submit(boxes, find)
    assert found.stdout.strip() == expected, found
    counters = boxes.counters()
    assert (counters["slots_started"], counters["slots_reused"]) == (1, 1)


def test_what_a_learner_cannot_see_is_there_for_the_learner_itself(open_boxes):
    """Else the tests above would prove nothing: what they look for is found within one program."""
    boxes = open_boxes()
    for what in ("shared memory", "message queues", "semaphores"):
        leave, find, expected = LEAVES_AND_FINDS[what]
        assert submit(boxes, f"{leave}\n{find}").stdout.strip() != expected


def test_a_grader_leaves_nothing_either(open_boxes, tmp_path):
    """It writes into its folders; the next grader finds its own files alone."""
    (tmp_path / "grade.py").write_text(
        """
import json, os, sys
def frame(obj):
    body = json.dumps(obj).encode(); os.write(3, len(body).to_bytes(4, "big") + body)
found = sorted(os.listdir("/grade") + os.listdir("/scratch") + os.listdir("/dev/shm"))
for folder in ("/grade", "/scratch"):
    open(folder + "/left", "w").write("x")
if os.fork() == 0:
    os.setsid(); os.execv("/usr/bin/sleep", ["sleep", "600"])
frame({"type": "tests", "tests": [{"id": "t", "title": "t", "max": 1}]})
frame({"type": "report", "id": "t", "score": 1, "output": " ".join(found)})
frame({"type": "done"})
"""
    )
    boxes = open_boxes()
    grader = DirectoryGrader(path=tmp_path)
    seen = [
        boxes.run(probe_request([], grader=grader, limits=LIMITS)).reports[0].output
        for _ in range(3)
    ]
    assert seen == ["grade.py"] * 3
    assert boxes.counters()["slots_started"] == 1


def test_two_submissions_at_once_have_a_slot_each(open_boxes):
    boxes = open_boxes()
    code = "import time; time.sleep(1); print(1)"
    threads = [threading.Thread(target=submit, args=(boxes, code)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert boxes.counters()["slots_started"] == 2
