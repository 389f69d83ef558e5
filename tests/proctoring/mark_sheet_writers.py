"""Processes that write to one mark sheet, each for itself: counting there, or dying at it.

    python -m tests.proctoring.mark_sheet_writers count URL EXAM PROCESSES TIMES
    python -m tests.proctoring.mark_sheet_writers hold URL EXAM NOW_US TTL_S

The first ends when all of its processes have. The second prints its token, waits for a line, and
then says whether it could write.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
import time
import traceback
from dataclasses import replace
from multiprocessing.synchronize import Semaphore

from proctoring_hooks import mark_sheet
from proctoring_hooks.grades import GradeState
from proctoring_hooks.marks import NewMark
from proctoring_hooks.store import Overtaken
from xqueue_server.instant import ManualClock, to_datetime
from xqueue_server.storage import open_storage
from xqueue_server.storage.proctoring import ProctoringStore

SECRET_KEY = b"k" * 32
COUNTER = NewMark(
    learner="counter",
    problem="p",
    submission_id=1,
    attempt_id=None,
    score=0,
    factor=1,
    state=GradeState.RELEASED,
)
TURNS = 4
"""In which each process adds its part."""
TTL_S = 60.0
AT_ONCE = 6
"""Ask for the sheet, while one has it and the others wait for their turn to ask: a server has not
a connection for everybody, and a machine not the time."""
PAUSE_S = (0.005, 0.05)


def count_up(url: str, exam_id: int, processes: int, times: int) -> None:
    """Forked from this one, which has imported everything. Raises: ChildProcessError."""
    may_ask = multiprocessing.Semaphore(AT_ONCE)
    for number in range(processes):
        if os.fork() == 0:
            _end_with(url, exam_id, f"process {number}", times, may_ask)
    failed = sum(os.wait()[1] != 0 for _ in range(processes))
    if failed:
        raise ChildProcessError(f"{failed} of {processes} failed")


def _end_with(url: str, exam_id: int, name: str, times: int, may_ask: Semaphore) -> None:
    try:
        _count(url, exam_id, name, times, may_ask)
    except Exception:  # noqa: BLE001 - whatever it is, this is a fork: nothing else may run
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _count(url: str, exam_id: int, name: str, times: int, may_ask: Semaphore) -> None:
    """Add one so many times: each by a read and a write, in transactions of their own, so that
    nothing but the token stands between two processes."""
    storage = open_storage(url, pool_size=1)
    store = ProctoringStore(storage, SECRET_KEY)
    in_one_go = max(1, times // TURNS)
    for begin in range(0, times, in_one_go):
        with may_ask:
            while not _add(store, exam_id, name, min(times - begin, in_one_go)):
                time.sleep(random.uniform(*PAUSE_S))
            storage.close()


def _add(store: ProctoringStore, exam_id: int, name: str, times: int) -> bool:
    """False: somebody else has the sheet."""
    with mark_sheet.held(store, exam_id, name, ttl_s=TTL_S) as token:
        for _ in range(times if token is not None else 0):
            _add_one(store, exam_id, token or 0)
    return token is not None


def _add_one(store: ProctoringStore, exam_id: int, token: int) -> None:
    with store.read() as session:
        marks = session.marks.of_exam(exam_id)
    before = marks[0].score or 0 if marks else 0
    with store.write() as session:
        session.marks.write(exam_id, [replace(COUNTER, score=before + 1)], token, ttl_s=TTL_S)


def hold(url: str, exam_id: int, now_us: int, ttl_s: float) -> None:
    storage = open_storage(url, pool_size=1, clock=ManualClock(to_datetime(now_us)))
    store = ProctoringStore(storage, SECRET_KEY)
    with store.write() as session:
        token = session.marks.acquire(exam_id, "the one that is stopped", ttl_s=ttl_s)
    assert token is not None, "nobody else has it yet"
    sys.stdout.write(f"{token}\n")
    sys.stdout.flush()
    sys.stdin.readline()
    try:
        with store.write() as session:
            session.marks.write(exam_id, [replace(COUNTER, score=666)], token, ttl_s=ttl_s)
    except Overtaken:
        sys.stdout.write("overtaken\n")
    else:
        sys.stdout.write("written\n")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["count", url, exam_id, processes, times]:
            count_up(url, int(exam_id), int(processes), int(times))
        case ["hold", url, exam_id, now_us, ttl_s]:
            hold(url, int(exam_id), int(now_us), float(ttl_s))
        case _:
            sys.exit(__doc__)
