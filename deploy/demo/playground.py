"""`make run`: the stack in the foreground, with everything needed to try it by hand."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from deploy.demo.capa import CapaClient
from deploy.demo.course import PROBLEMS, grader_payload, place_of
from deploy.demo.lms import PageForm, StandInLms
from deploy.demo.processes import ROOT, ProcessFailed, free_port
from deploy.demo.stack import QUEUE, DemoStack

DATA_DIR = ROOT / "var" / "demo"
QUEUE_PORT = 8040
LMS_PORT = 8041
LEARNER = "101"

_HELP = """\
Queue server   {queue}/xqueue/       queue "{name}"
Admin pages    {queue}/admin/        admin / {admin_password}
Stand-in LMS   {lms}/
Accounts       lms / {lms_password}     (submits)
               grader / {grader_password}  (grades)
Data and logs  {data_dir} (emptied at the next start)

Submit through the LMS, then look at its page:

  curl -d problem=square --data-urlencode 'answer=def square(x): return x * x' {lms}/submit

Or talk to the queue as an LMS does (the grade goes to lms_callback_url):

  curl -c jar -d username=lms -d 'password={lms_password}' {queue}/xqueue/login/
  curl -b jar {queue}/xqueue/submit/ \\
    --data-urlencode 'xqueue_header={{"lms_callback_url": "{callback}",
      "lms_key": "any", "queue_name": "{name}"}}' \\
    --data-urlencode 'xqueue_body={{"student_response": "def square(x): return x * x",
      "grader_payload": "{{\\"problem\\": \\"square\\"}}", "student_info": "{{}}"}}'

Ctrl-C stops everything.
"""


def play() -> int:
    """Serve until interrupted; exit status 1 if a process ends by itself."""
    ended = threading.Event()
    with (
        _own_data_dir() as data_dir,
        StandInLms(port=free_port(LMS_PORT)) as lms,
        DemoStack(data_dir, port=QUEUE_PORT, on_failure=ended.set) as stack,
    ):
        print("Starting ...", flush=True)
        stack.start()
        lms.form = PageForm(submit=_submitter(lms, stack), problems=PROBLEMS)
        print(_instructions(lms, stack), flush=True)
        ended.wait()
        failed = stack.failed_process()
        if failed is not None:
            raise failed.failure("is gone")
    return 0


@contextlib.contextmanager
def _own_data_dir() -> Iterator[Path]:
    """An empty directory that no other `make run` uses."""
    DATA_DIR.parent.mkdir(exist_ok=True)
    with DATA_DIR.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ProcessFailed("another `make run` is using var/demo; stop it first") from error
        shutil.rmtree(DATA_DIR, ignore_errors=True)
        DATA_DIR.mkdir(mode=0o700)
        yield DATA_DIR


def _submitter(lms: StandInLms, stack: DemoStack) -> Callable[[dict[str, str]], str]:
    client = CapaClient(
        url=stack.url, username=stack.lms_account.name, password=stack.lms_account.password
    )

    def submit(form: dict[str, str]) -> str:
        problem = form.get("problem", PROBLEMS[0])
        reply = lms.submit(
            place_of(form.get("learner", LEARNER), problem),
            form.get("answer", ""),
            client=client,
            queue=QUEUE,
            grader_payload=grader_payload(problem),
        )
        if not reply.accepted:
            return f"Unable to deliver your submission to grader (Reason: {reply.content})."
        return f"Submitted; {reply.content} waiting in the queue. The grade: {lms.origin}/"

    return submit


def _instructions(lms: StandInLms, stack: DemoStack) -> str:
    return _HELP.format(
        queue=stack.url,
        lms=lms.origin,
        name=QUEUE,
        lms_password=stack.lms_account.password,
        grader_password=stack.grader_account.password,
        admin_password=stack.admin_account.password,
        data_dir=stack.data_dir.relative_to(ROOT),
        callback=lms.callback_url(place_of(LEARNER, PROBLEMS[0])),
    )
