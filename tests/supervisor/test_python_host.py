"""Programs that are forks of the pre-started Python are like programs that were executed."""

import json

import pytest

from tests.supervisor.harness import HOST_PY, start_frame, text
from tests.supervisor.test_learners_program import COUNT_OUR_PROCESSES

PROGRAMS = {
    "arguments": "import sys; print(sys.argv, sys.orig_argv[1:], sys.path, sys.flags)",
    "names": "print(__name__, __file__, sorted(globals()))",
    "self": """
import os
print(os.getuid(), os.getgroups(), os.getcwd(), dict(os.environ), os.getsid(0) == os.getpid())
""",
    "files": """
import os
print(sorted(os.listdir('/proc/self/fd')), open('/proc/self/oom_score_adj').read())
""",
    "limits": "import resource as r; print([r.getrlimit(n) for n in range(16)])",
    "library": """
import sys
print([name for name in sys.modules if name.startswith(('graders', 'sandbox'))])
""",
    "error": "def f():\n    return 1 / 0\nf()",
    "syntax": "x =",
    "exit": "import sys; sys.exit('sorry')",
    "input": "import sys; print(input(), sys.stdin.read()); sys.stderr.write('err')",
    "random": "import random; print(len(str(random.random())) > 2)",
    "killed": "import os; os.kill(os.getpid(), 11)",
    "atexit": "import atexit; atexit.register(print, 'bye')",
    "threads": """
import threading, time
threading.Thread(target=lambda: (time.sleep(.05), print('late'))).start()
""",
    "files left open": """
import os, types
kept = open('a', 'w')
kept.write('kept')
class Last:
    def __del__(self):
        print('last', os.path.exists('a'))
last = Last()
last.itself = last
module = types.ModuleType('made')
module.last = Last()
import sys
sys.modules['made'] = module
module.itself = module
def reader():
    if os.fork() == 0:
        return
    os.wait()
    print(open('b').read())
    os._exit(0)
reader()
other = open('b', 'w')
other.write('also kept')
""",
    "C's own output": """
import ctypes
ctypes.CDLL(None).printf(b'from C')
""",
    "daemon threads": """
import threading, time
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
print('early')
""",
    "atexit that fails": "import atexit; atexit.register(int, 'x'); print('done')",
    "stdout closed": "import sys; print('a'); sys.stdout.flush(); sys.stdout.close()",
    "stdout full": "import os, sys; os.close(1); os.open('/dev/full', 1); print('a')",
    "status": "raise SystemExit(-3)",
    "status that is none": "raise SystemExit(1 << 40)",
    "main": "import __main__; print(__main__.__file__); print(hasattr(__main__, 'serve'))",
}
GRADER = """
from graders.library.session import grade_with
import json, os, sys
def grade(session):
    for name, code in json.loads(session.job.payload).items():
        both = []
        for zygote in (True, False):
            ran = session.run(["python3", "-I", "a.py", "x"], files={"a.py": code.encode()},
                              stdin=b"line\\nrest", zygote=zygote)
            both.append([ran.reason, ran.code, ran.stdout.decode(), ran.stderr.decode()])
        session.report(name, score=0, output=json.dumps(both))
grade_with(grade)
"""


def pairs(supervise, programs):
    supervisor = supervise(host_py=HOST_PY)
    frames = supervisor.grade({"grade.py": GRADER}, job={"payload": json.dumps(programs)})
    assert frames[-1]["how"] == "finished", text(frames[-1]["log"])
    return {
        frame["id"]: json.loads(frame["output"]) for frame in frames if frame["type"] == "report"
    }


def test_a_fork_does_what_the_executed_program_does(supervise):
    for name, (forked, executed) in pairs(supervise, PROGRAMS).items():
        assert forked == executed, name


def test_a_fork_holds_nothing_of_tests_answers_or_job(supervise):
    secret = "XQ-SECRET-" + "ANSWER"
    look = r"""
import re, sys
planted, found = sys.stdin.read() if sys.argv[1:] == ["plant"] else "", []
for line in open("/proc/self/maps"):
    area, rights, *_ = line.split()
    if "r" in rights and "[v" not in line:
        first, last = (int(end, 16) for end in area.split("-"))
        with open("/proc/self/mem", "rb") as memory:
            memory.seek(first)
            found += re.findall(rb"XQ.SECRET.ANSWE[R]", memory.read(last - first))
print(len(found) > 0)
"""
    grader = f"""
from graders.library.session import grade_with
def grade(session):
    for words in ([], ["plant"]):
        ran = session.run(["python3", "-I", "look.py", *words], zygote=True,
                          files={{"look.py": {look.encode()!r}}}, stdin=b"XQ-SECRET-" + b"ANSWER")
        session.report("t", score=0, output=ran.stdout.decode() + ran.stderr.decode())
grade_with(grade)
# {secret}
"""
    job = {"payload": secret, "response": secret}
    frames = supervise(host_py=HOST_PY).grade({"grade.py": grader, "tests.txt": secret}, job=job)
    said = [frame["output"] for frame in frames if frame["type"] == "report"]
    assert said == ["False\n", "True\n"]  # the second has it from its stdin, to prove the looking


def test_a_program_holds_nothing_of_the_programs_before(supervise):
    """Not even of their arguments: a test's input may be one."""
    look = r"""
import sys
sys.path.insert(0, '/box')
import search
print(search.found(b'XQ.SECRET.ARGUMEN[T]'))
"""
    search = """
import re
def found(pattern):
    found = []
    for line in open('/proc/self/maps'):
        area, rights, *_ = line.split()
        if 'r' in rights and '[v' not in line:
            first, last = (int(end, 16) for end in area.split('-'))
            with open('/proc/self/mem', 'rb') as memory:
                memory.seek(first)
                found += re.findall(pattern, memory.read(last - first))
    return len(found) > 0
"""
    grader = f"""
from graders.library.session import grade_with
FILES = {{"look.py": {look.encode()!r}, "search.py": {search.encode()!r}}}
def grade(session):
    for words in (["XQ-SECRET-ARGUMENT"], ["other"], ["other"]):
        ran = session.run(["python3", "-I", "look.py", *words], zygote=True, files=FILES)
        session.report("t", score=0, output=ran.stdout.decode() + ran.stderr.decode())
grade_with(grade)
"""
    frames = supervise(host_py=HOST_PY).grade({"grade.py": grader})
    said = [frame["output"] for frame in frames if frame["type"] == "report"]
    assert said == ["True\n", "False\n", "False\n"]


def test_a_grader_is_forked_and_becomes_its_own_uid(supervise):
    grader = """
import os, sys
from graders.library.session import grade_with
def grade(session):
    caps = open("/proc/self/status").read().split("CapPrm:\\t")[1][:16]
    found = [os.getuid(), caps, sys.argv[0], __name__, os.getppid()]
    session.report("t", score=0, output=" ".join(map(str, found)))
grade_with(grade)
"""
    frames = supervise(host_py=HOST_PY).grade({"grade.py": grader})
    assert frames[0]["output"] == f"10001 {'0' * 16} /grade/grade.py __main__ 1"


def test_other_sources_of_the_library_than_the_images_are_imported(supervise):
    grader = """
import os
from graders.library import marker
body = ('{"type":"report","id":"%s"}' % marker).encode()
os.write(3, len(body).to_bytes(4, "big") + body)
"""
    files = {
        "grade.py": grader,
        ".xqueue/graders/__init__.py": "",
        ".xqueue/graders/library/__init__.py": "marker = 'shipped'",
    }
    assert supervise(host_py=HOST_PY).grade(files)[0]["id"] == "shipped"


@pytest.mark.parametrize("code", ["1/0", "import os; os._exit(9)", "import os; os.abort()"])
def test_a_grader_that_dies_in_a_fork_is_seen_to_die(supervise, code):
    frames = supervise(host_py=HOST_PY).grade({"grade.py": code})
    assert frames[-1]["how"] == "grader-exited"
    assert str({"1": 1, "i": 9}[code[0]] if "abort" not in code else 134) in frames[-1]["detail"]
    if code == "1/0":
        log = text(frames[-1]["log"])
        assert 'File "/grade/grade.py", line 1' in log
        assert "host.py" not in log


def test_forks_are_killed_with_all_they_started(supervise):
    leave = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(600)"
    bomb = "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass"
    found = pairs(
        supervise, {"a": leave, "b": COUNT_OUR_PROCESSES, "c": bomb, "d": COUNT_OUR_PROCESSES}
    )
    assert found["c"][0][0] == "time"
    assert {ran[2] for ran in found["b"] + found["d"]} == {"1\n"}


def test_a_python_host_that_dies_is_the_platforms_failure(supervise, tmp_path):
    broken = tmp_path / "host.py"
    broken.write_text("raise SystemExit(3)")
    frames = supervise(host_py=broken).grade({"grade.py": "pass"})
    assert frames[-1]["how"] == "platform"


def test_a_grader_with_a_program_of_its_own_is_executed(supervise):
    grade = "#!/bin/sh\necho executed by $0 >&2\nexit 6\n"
    frames = supervise(host_py=HOST_PY).grade({"grade": grade})
    assert "status 6" in frames[-1]["detail"]


def test_a_large_argument_takes_the_common_way(supervise):
    supervisor = supervise(host_py=HOST_PY)
    supervisor.until("ready")
    grader = """
from graders.library.session import grade_with
def grade(session):
    ran = session.run(["python3", "-I", "a.py", "x" * 200_000], files={"a.py": b""}, zygote=True)
    session.report("t", score=0, output=str(ran.code))
grade_with(grade)
"""
    supervisor.send(start_frame({"grade.py": grader}))
    frames = supervisor.until("ended")
    assert [frame["output"] for frame in frames if frame["type"] == "report"] == ["127"]
