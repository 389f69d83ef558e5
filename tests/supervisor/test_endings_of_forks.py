"""However a Python program leaves things, a fork of the pre-started Python ends as plain Python."""

import re

import pytest

from tests.supervisor.test_python_host import pairs

A_FILE = "__import__('os').fdopen(__import__('os').dup(1), 'w')"
LEFT_OPEN = {
    "global": f"f = {A_FILE}; f.write('x')",
    "in a list": f"def g():\n  f = {A_FILE}; f.write('x'); return f\nx = [g()]",
    "in a cycle": f"class A: pass\na = A(); a.me = a; a.f = {A_FILE}; a.f.write('x')",
    "in a class": f"class A: f = {A_FILE}\nA.f.write('x')",
    "in a default argument": f"def g(f={A_FILE}): f.write('x')\ng()",
    "in a closure": f"def g():\n  f = {A_FILE}\n  return lambda: f.write('x')\nh = g(); h()",
    "in math": f"import math\nmath.f = {A_FILE}; math.f.write('x')",
    "in os": f"import os\nos.f = {A_FILE}; os.f.write('x')",
    "in json": f"import json\njson.f = {A_FILE}; json.f.write('x')",
    "in sys": f"import sys\nsys.f = {A_FILE}; sys.f.write('x')",
    "in builtins": f"import builtins\nbuiltins.f = {A_FILE}; builtins.f.write('x')",
    "in a function of a module": f"import json\njson.dumps.f = {A_FILE}; json.dumps.f.write('x')",
    "in its own stream": f"import sys\nsys.stdout.f = {A_FILE}; sys.stdout.f.write('x')",
    "frozen": f"import gc\nf = {A_FILE}; f.write('x')\ngc.freeze()",
    "unfrozen": f"import gc\ngc.unfreeze()\nf = {A_FILE}; f.write('x')",
    "uncollected": f"import gc\ngc.disable()\na = []; a.append(a); a.append({A_FILE})\n"
    "a[1].write('x')",
    "modules cleared": f"import sys\nf = {A_FILE}; f.write('x')\nsys.modules.clear()",
    "modules that are none": "import sys\nsys.modules['x'] = 5; sys.modules[5] = 5\nprint(1)",
    "no main": "import sys\ndel sys.modules['__main__']\nclass A:\n"
    "  def __del__(s): print('del')\na = A()",
}
STREAMS = {
    "replaced": "import io, sys\nprint('a')\nsys.stdout = io.StringIO()\nprint('b')",
    "redirected": "import contextlib, io\nprint('a')\n"
    "contextlib.redirect_stdout(io.StringIO()).__enter__()\nprint('b')",
    "none": "import sys\nsys.__stdout__.write('d')\nsys.stdout = None\nprint(1)",
    "wrapped": "import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer, 'utf-8')\n"
    "print(1)",
    "wrapped beside": "import io, sys\nout = io.TextIOWrapper(sys.stdout.buffer, 'utf-8')\n"
    "out.write('w')",
    "detached": "import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.detach())\nprint(1)",
    "reconfigured": "import sys\nsys.stdout.reconfigure(encoding='utf-8', newline='')\nprint(1)",
    "unseekable": "import sys\nprint([s.seekable() for s in (sys.stdin, sys.stdout, sys.stderr)])",
    "closed below": "import os\nprint('x')\nos.close(1)",
    "flush fails": "import sys\nprint('a')\nclass W:\n  def write(s, x): pass\n"
    "  def flush(s): raise KeyError('no')\nsys.stdout = W()",
    "child": "import os\nprint('x')\nif os.fork() == 0: pass\nelse: os.wait()",
}
LAST_WORDS = {
    "__del__": "class A:\n  def __init__(s, n): s.n = n\n  def __del__(s): print('del', s.n)\n"
    "a = A(1); b = A(2)\nimport sys\nsys.keep = A(3)",
    "__del__ without a dictionary": "class A:\n  __slots__ = ()\n"
    "  def __del__(s): print('del')\na = A()",
    "__del__ by a metaclass": "class M(type):\n  def __getattribute__(s, n): raise ValueError\n"
    "class A(metaclass=M):\n  def __del__(s): print('del')\na = A()",
    "__del__ that fails": "class A:\n  def __del__(s): 1 / 0\na = A()",
    "__del__ with globals": "import math\nclass A:\n  def __del__(s): print(math.pi, helper())\n"
    "def helper(): return 5\na = A()",
    "__del__ that exits": "import os\nclass A:\n  def __del__(s): os._exit(9)\na = A()",
    "generator": "def g():\n  try: yield 1\n  finally: print('last')\nx = g(); next(x)",
    "coroutine": "async def f(): pass\nx = f()",
    "weak reference": "import weakref\nclass A: pass\na = A(); r = weakref.ref(a, print)",
    "finalize": "import weakref\nclass A: pass\na = A(); weakref.finalize(a, print, 'z')",
    "atexit": "import atexit\natexit.register(print, 1); atexit.register(print, 2)",
    "atexit cleared": "import atexit\natexit._clear(); print(1)",
    "thread": "import _thread, time\n"
    "_thread.start_new_thread(lambda: (time.sleep(60), print('t')), ())\nprint('m')",
    "print replaced": "import builtins\nbuiltins.map = builtins.type = None\nprint(1)",
    "abstract": "from collections.abc import Sequence\nclass A(Sequence):\n"
    "  __len__ = __getitem__ = None\nprint(isinstance((), Sequence), issubclass(A, Sequence))",
}
ENDINGS = {
    "hook": "import sys\nsys.excepthook = lambda *a: print('hook', a[0].__name__)\n1 / 0",
    "hook that fails": "import sys\nsys.excepthook = lambda *a: 1 / 0\n1 / 0",
    "error without text": "class E(Exception):\n  def __str__(s): raise ValueError\nraise E",
    "chained": "def f():\n  try: 1 / 0\n  except ZeroDivisionError as e: raise ValueError from e\n"
    "f()",
    "interrupted": "raise KeyboardInterrupt",
    "by a signal": "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n",
    "generator exit": "raise GeneratorExit",
    "no": "import sys; sys.exit(False)",
    "number of its own kind": "import sys\nclass I(int): pass\nsys.exit(I(3))",
    "in a child": "import os, sys\nif os.fork() == 0: sys.exit(3)\nprint(os.wait()[1])",
    "deep": "def f(): f()\ntry: f()\nexcept RecursionError: print('deep')",
    "syntax": "print(1)\nx = (",
    "bytes that are no text": "x = '\\udce4'",
}
ADDRESS = re.compile(r"0x[0-9a-f]+")


@pytest.mark.parametrize("programs", [LEFT_OPEN, STREAMS, LAST_WORDS, ENDINGS])
def test_a_fork_ends_as_the_executed_program_does(supervise, programs):
    for name, (forked, executed) in pairs(supervise, programs).items():
        assert [ADDRESS.sub("0x", str(each)) for each in forked] == [
            ADDRESS.sub("0x", str(each)) for each in executed
        ], name


def test_what_is_left_open_is_written(supervise):
    """Else both could have lost it."""
    ran = pairs(supervise, {name: LEFT_OPEN[name] for name in ("global", "in json", "frozen")})
    assert {name: forked[2] for name, (forked, _) in ran.items()} == {
        "global": "x",
        "in json": "x",
        "frozen": ran["frozen"][1][2],
    }
