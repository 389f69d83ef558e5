"""What the supervisor says to the host, whatever a grader does."""

import json
import os

import pytest

from tests.supervisor.conftest import PROBE
from tests.supervisor.harness import LIMITS, commands, start_frame, text


def ending(frames):
    return frames[-1]["how"], frames[-1]["detail"]


def raw(body, length=None):
    data = (len(body) if length is None else length).to_bytes(4, "big") + body
    return {"do": "raw", "hex": data.hex()}


def test_reports_leave_at_once_and_unread(supervise):
    supervisor = supervise()
    supervisor.until("ready")
    strange = {
        "type": "report",
        "id": ["no", "id"],
        "score": -1e9,
        "more": {"x": [None]},
        "é": "\ud800",
    }
    steps = [raw(json.dumps(strange).encode()), {"do": "hang"}]
    supervisor.send(start_frame({"grade.py": PROBE}, job={"payload": json.dumps(steps)}))
    assert supervisor.receive() == strange  # while the grader hangs


def test_the_learner_is_announced_and_its_end_too(follow):
    frames = follow({"do": "run", "as": "t", "argv": ["true"]}, {"do": "done"})
    assert [frame["type"] for frame in frames] == ["learner", "learner", "report", "done", "ended"]
    assert [frame["active"] for frame in frames[:2]] == [True, False]


def test_a_grader_finds_its_job_its_limits_its_files_and_its_environment(supervise):
    grader = """
import json, os, sys
frame = json.loads(os.read(3, 65536)[4:])
more = {"env": dict(os.environ), "cwd": os.getcwd(), "uid": os.getuid(), "argv": sys.argv,
        "mode": oct(os.stat("sub/x.txt").st_mode & 0o777), "text": open("sub/x.txt").read(),
        "caps": open("/proc/self/status").read().split("CapPrm:\\t")[1][:16],
        "stdin": os.readlink("/proc/self/fd/0"), "fds": sorted(os.listdir("/proc/self/fd"))}
body = json.dumps({"type": "report", "frame": frame, **more}).encode()
os.write(3, len(body).to_bytes(4, "big") + body)
"""
    frames = supervise().grade({"grade.py": grader, "sub/x.txt": "hi"}, job={"response": "R\ud800"})
    told = frames[0]
    assert told["frame"]["job"]["response"] == "R\ud800"
    assert told["frame"]["limits"]["learner_wall_s"] == 5
    assert (told["cwd"], told["uid"], told["argv"]) == ("/grade", 10001, ["/grade/grade.py"])
    assert (told["mode"], told["text"], int(told["caps"], 16)) == ("0o600", "hi", 0)
    assert told["env"]["HOME"] == "/scratch"
    assert set(told["env"]) == {
        *("PATH", "LANG", "HOME", "TMPDIR", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
    }
    assert told["stdin"] == "/dev/null"
    assert told["fds"][:4] == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("steps", "how", "words"),
    [
        ([{"do": "done"}], "finished", ""),
        ([{"do": "fail", "detail": "x"}], "finished", ""),
        ([{"do": "exit", "code": 3}], "grader-exited", "status 3"),
        ([{"do": "crash"}], "grader-exited", "status 139"),
        ([{"do": "hang"}], "out-of-time", ""),
        ([raw(b"", 0xFFFFFFFF)], "grader-broke-protocol", "the most is"),
        ([raw(b"hi")], "grader-broke-protocol", "not JSON"),
        ([raw(b"[]")], "grader-broke-protocol", "not an object"),
        ([raw(b'{"type":1}')], "grader-broke-protocol", "not an object"),
        ([raw(b'{"type":"report","score":NaN}')], "grader-broke-protocol", "not JSON"),
        ([raw(b'{"type":"report","type":"ended"}')], "grader-broke-protocol", "twice"),
        ([raw(b'{"type":"report","t\\u0079pe":"ended"}')], "grader-broke-protocol", "twice"),
        ([raw(b"[" * 100_000)], "grader-broke-protocol", "deep"),
        ([raw(b'{"type":"report","x":"\xff"}')], "grader-broke-protocol", "UTF-8"),
        (
            [{"do": "ended", "how": "finished"}],
            "grader-broke-protocol",
            "unknown frame type 'ended'",
        ),
        ([{"do": "run", "as": "t", "argv": []}], "grader-broke-protocol", "argv"),
        ([{"do": "run", "as": "t", "argv": [1]}], "grader-broke-protocol", "argv"),
        ([{"do": "run", "as": "t", "stdin": "?"}], "grader-broke-protocol", "stdin"),
        ([{"do": "run", "as": "t", "files": {"../x": ""}}], "grader-broke-protocol", "plain"),
        ([{"do": "run", "as": "t", "files": {"..": ""}}], "grader-broke-protocol", "plain"),
        ([{"do": "run", "as": "t", "files": {"a\n": ""}}], "grader-broke-protocol", "plain"),
        ([{"do": "run", "as": "t", "collect": ["a/b"]}], "grader-broke-protocol", "plain"),
        ([{"do": "run", "as": "t", "env": {"1A": ""}}], "grader-broke-protocol", "env"),
        ([{"do": "run", "as": "t", "env": {"A$1": ""}}], "grader-broke-protocol", "env"),
        ([{"do": "run", "as": "t", "wall_s": 0}], "grader-broke-protocol", "positive"),
        ([{"do": "run", "as": "t", "wall_s": True}], "grader-broke-protocol", "positive"),
        (
            [{"do": "run", "as": "t", "files": {"big": "A" * 8_000_000}}],
            "grader-broke-protocol",
            "fit",
        ),
    ],
)
def test_how_a_run_ended_is_told(follow, steps, how, words):
    limits = {"wall_s": 1.5} if how == "out-of-time" else {}
    frames = follow(*steps, limits=limits, scratch_bytes=4 << 20)
    said, detail = ending(frames)
    assert said == how, frames[-1]
    assert words in detail


@pytest.mark.parametrize("files", [{}, {"readme": "x"}, {"grade": "not executable"}])
def test_a_grader_without_entry_point_is_unusable(supervise, files):
    assert ending(supervise().grade(files))[0] == "grader-unusable"


def test_last_words_of_a_grader_that_exits_at_once_count(supervise):
    body = b'{"type":"done"}'
    grader = f"import os; os.write(3, {len(body).to_bytes(4, 'big') + body!r}); os._exit(0)"
    assert ending(supervise().grade({"grade.py": grader})) == ("finished", "")


def test_time_that_ends_in_or_just_after_the_learners_program_is_the_learners(follow):
    sleep = {"do": "run", "as": "t", "argv": ["sleep", "60"]}
    limits = {"wall_s": 4, "learner_wall_s": 60}
    assert ending(follow(sleep, limits=limits)) == ("out-of-time", "learner")
    short = {"do": "run", "as": "t", "argv": ["sleep", "3.3"]}
    assert ending(follow(short, {"do": "hang"}, limits=limits)) == ("out-of-time", "learner")
    quick = {"do": "run", "as": "t", "argv": ["true"]}
    limits = {"wall_s": 4}
    assert ending(follow(quick, {"do": "hang"}, limits=limits)) == ("out-of-time", "")


def test_the_last_16_kib_of_the_graders_output_are_kept(follow):
    frames = follow({"do": "log", "text": "a" * 30_000 + "b" * 16_000 + "END"}, {"do": "done"})
    log = text(frames[-1]["log"])
    assert len(log) == 16 * 1024
    assert log.endswith("bEND")


def test_a_grader_that_reports_before_it_reads_a_large_job_is_heard(supervise):
    grader = """
import os, time
body = b'{"type":"report","id":"t1"}'
os.write(3, len(body).to_bytes(4, "big") + body)
time.sleep(60)
"""
    supervisor = supervise()
    supervisor.until("ready")
    supervisor.send(start_frame({"grade.py": grader}, job={"response": "x" * 5_000_000}))
    assert supervisor.receive()["id"] == "t1"


def test_when_the_host_goes_everything_goes(supervise):
    supervisor = supervise()
    supervisor.until("ready")
    mark = f"left-{os.getpid()}"
    step = {"do": "run", "as": "t", "argv": ["sh", "-c", f"sleep 600; : {mark}"], "wall_s": 60}
    limits = {"wall_s": 60, "learner_wall_s": 60}
    payload = json.dumps([step])
    supervisor.send(start_frame({"grade.py": PROBE}, job={"payload": payload}, limits=limits))
    assert supervisor.receive() == {"type": "learner", "active": True}
    supervisor.process.stdin.close()
    supervisor.process.wait(60)
    assert not [words for words in commands().values() if mark in words]


def test_a_start_frame_that_is_not_complete_is_the_platforms_failure(supervise):
    supervisor = supervise()
    supervisor.until("ready")
    supervisor.send({"type": "start", "job": {}, "files": []})
    assert supervisor.receive() is None
    assert supervisor.process.wait(60) == 70
    assert b"not complete" in supervisor.process.stderr.read()


def test_the_grader_of_a_split_run_has_its_programs_run_by_the_host(supervise):
    supervisor = supervise("--grader")
    supervisor.until("ready")
    step = {"do": "run", "as": "t", "argv": ["x"], "stdin": "aGk=", "collect": ["y"]}
    payload = json.dumps([step, {"do": "done"}])
    supervisor.send(start_frame({"grade.py": PROBE}, job={"payload": payload}))
    asked = supervisor.until("run")
    assert asked[0] == {"type": "learner", "active": True}
    assert asked[1]["stdin"] == "aGk="
    assert asked[1]["collect"] == ["y"]
    ran = {"type": "ran", "reason": "exited", "code": 4, "stdout": "", "stderr": "", "wall_ms": 1}
    supervisor.send(ran)
    frames = supervisor.until("ended")
    assert frames[0] == {"type": "learner", "active": False}
    assert json.loads(frames[1]["output"]).items() >= ran.items()
    assert ending(frames)[0] == "finished"


def test_a_host_that_does_not_answer_in_a_split_run_costs_the_learner_its_time(supervise):
    supervisor = supervise("--grader")
    supervisor.until("ready")
    payload = json.dumps([{"do": "run", "as": "t", "argv": ["x"]}])
    limits = {"wall_s": 1}
    supervisor.send(start_frame({"grade.py": PROBE}, job={"payload": payload}, limits=limits))
    assert ending(supervisor.until("ended")) == ("out-of-time", "learner")


def test_the_learners_side_of_a_split_run_runs_one_program_after_another(supervise):
    supervisor = supervise("--learner")
    supervisor.until("ready")
    supervisor.send(start_frame({}))
    leave = "sleep 600 & echo $$ > kept; setsid sleep 600 & cat /proc/self/oom_score_adj"
    supervisor.send({"type": "run", "argv": ["sh", "-c", leave]})
    assert text(supervisor.receive()["stdout"]) == "1000\n"
    look = {"type": "run", "argv": ["sh", "-c", "ls /proc | grep -c '^[0-9]'; ls"], "keep": True}
    supervisor.send(look)
    assert text(supervisor.receive()["stdout"]).split()[1:] == ["kept"]
    supervisor.send({**look, "keep": False, "argv": ["ls", "/proc", "/box"], "collect": ["a"]})
    ran = supervisor.receive()
    processes = [name for name in text(ran["stdout"]).split() if name.isdigit()]
    assert len(processes) == 2
    assert ran["files"] == {}
    supervisor.send({"type": "run", "argv": ["sh", "-c", "kill -9 1; kill -9 -1; echo alive"]})
    assert text(supervisor.receive()["stdout"]) == "alive\n"
    supervisor.send({"type": "run", "argv": ["sleep", "60"], "wall_s": 0.2})
    ran = supervisor.receive()
    assert ran["reason"] == "time"
    assert ran["wall_ms"] < LIMITS["learner_wall_s"] * 1000
