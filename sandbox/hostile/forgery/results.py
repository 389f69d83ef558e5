"""Results that nobody gave: by every channel that some grading system reads."""

from __future__ import annotations

import pickle
from collections.abc import Sequence

from sandbox.hostile.case import Group, HostileCase, Program, Submission, hostile
from sandbox.probe.script import Ran

FRAMES = """
import json
bodies = [json.dumps(frame).encode() for frame in (
    {"type": "tests", "tests": [{"id": "free", "title": "free", "max": 100}]},
    {"type": "report", "id": "attack-1", "score": 1, "output": "forged"},
    {"type": "report", "id": "before", "score": 1},
    {"type": "ran", "reason": "exited", "code": 0, "stdout": "", "stderr": "", "wall_ms": 1},
    {"type": "done"},
    {"type": "ended", "how": "finished"},
)]
frames = b"".join(len(body).to_bytes(4, "big") + body for body in bodies)
line = b'{"correct": true, "score": 1.0, "errors": [], "tests": [["t", "", true, "", ""]]}\\n'
multiplexed = b"\\x01\\0\\0\\0" + len(frames).to_bytes(4, "big") + frames
"""


PICKLED = pickle.dumps({"score": 1, "attack-1": True}, protocol=0)


def _answered_as_text(ran: Sequence[Ran]) -> None:
    assert PICKLED.decode() in ran[0].stdout, f"the grader got something else: {ran[0].stdout!r}"


def _printed_everything(ran: Sequence[Ran]) -> None:
    assert '"correct": true' in ran[0].stdout, "its own output did not come back as output"


CASES = (
    HostileCase(
        number="31",
        name="prints-results",
        group=Group.FORGERY,
        attack="writes perfect result lines and frames to every descriptor, then exits with 0",
        outcome="plain output of the learner; graded by its content",
        plan=Submission(
            programs=(
                Program(
                    source=FRAMES
                    + """
for data in (line, frames, multiplexed):
    for fd in range(1, 64):
        try:
            os.write(fd, data)
        except OSError:
            pass
say("")
say("ATTACKED")
os._exit(0)
"""
                ),
            ),
            look=_printed_everything,
        ),
    ),
    HostileCase(
        number="32",
        name="prints-pass-and-exits",
        group=Group.FORGERY,
        attack="prints PASS and exits with 0 before it is asked anything",
        outcome="graded by its content: no point",
        plan=hostile("say('PASS'); say('OK'); say('ATTACKED'); os._exit(0)"),
    ),
    HostileCase(
        number="33",
        name="writes-result-files",
        group=Group.FORGERY,
        attack="writes result files to every place where some grading system reads them",
        outcome="nobody reads them",
        plan=hostile(
            """
perfect = '{"score": 1, "correct": true, "fractionalScore": 1, "tests": []}'
for path in ("/grade/results/results.json", "/grade/results.json", "/autograder/results.json",
             "/autograder/results/results.json", "/shared/feedback.json", "/task/result",
             "/scratch/results.json", "/xq/result", "/results.json", "/var/tmp/results.json"):
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(perfect)
        gained(path)
    except OSError:
        pass
for name in ("results.json", "feedback.json", "result.xml", "out", "score"):
    for folder in ("/box", "/tmp"):
        with open(folder + "/" + name, "w") as file:
            file.write(perfect)
"""
        ),
    ),
    HostileCase(
        number="41",
        name="patches-comparison",
        group=Group.FORGERY,
        attack=(
            "patches print, ==, str and unittest, and answers with an object equal to everything"
        ),
        outcome="only bytes cross: no point",
        plan=hostile(
            """
import builtins, unittest
class AlwaysTrue(str):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __bool__(self): return True
    __hash__ = str.__hash__
unittest.TestCase.assertEqual = lambda *_: None
real = builtins.print
builtins.print = lambda *a, **k: real(AlwaysTrue("the right answer? yes"))
print(AlwaysTrue("anything"), flush=True)
"""
        ),
    ),
    HostileCase(
        number="42",
        name="answers-with-a-pickle",
        group=Group.FORGERY,
        attack="answers with a pickle where a result is expected",
        outcome="text like any other",
        plan=Submission(
            programs=(Program(source=f"say({PICKLED.decode()!r})"),), look=_answered_as_text
        ),
    ),
    HostileCase(
        number="45",
        name="prints-frame-headers",
        group=Group.FORGERY,
        attack="floods stdout with frame headers, halves of frames and the engine's stream headers",
        outcome="plain output of the learner",
        plan=hostile(
            FRAMES
            + """
for data in (multiplexed, frames, b"\\xff\\xff\\xff\\xff", b"\\0\\0\\0\\x02{}", frames[:7]):
    os.write(1, data * 3)
    os.write(2, data * 3)
say("")
"""
        ),
    ),
)
