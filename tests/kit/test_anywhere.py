"""The kit on a teacher's machine: no server's libraries, and systems other than Linux.

In a process of its own each, in which what is not there can not be imported.
"""

import subprocess
import sys
from pathlib import Path

import graders

TOP = Path(graders.__file__).parent
KIT = [
    ".".join(path.relative_to(TOP.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(TOP.rglob("*.py"))
    if path.relative_to(TOP).parts[0] not in ("library", "templates", "examples")
] + ["sandbox.factory", "sandbox.backends.docker"]
"""What runs on the author's machine; `graders.library` runs inside sandboxes, which are Linux."""

NOT_OURS = """
import importlib, sys
for name in sys.argv[1].split():
    sys.modules[name] = None
for name in sys.argv[2:]:
    importlib.import_module(name)
"""
SERVERS = (
    "alembic argon2 flask gunicorn html5lib lxml psycopg redis rq sqlalchemy werkzeug jinja2 "
    "grader_worker xqueue_server pytest"
)
NOT_LINUX = """
import importlib, os, select, signal, socket, sys
for name in ("fcntl", "grp", "pwd", "resource", "syslog", "termios"):
    sys.modules[name] = None
for module, names in {
    select: ("epoll", "poll", "POLLIN", "POLLOUT", "POLLHUP", "POLLERR"),
    os: ("memfd_create", "pidfd_open", "geteuid", "getuid", "setresuid", "setgroups", "O_NOFOLLOW"),
    signal: ("SIGALRM", "setitimer", "SIGXCPU", "pidfd_send_signal"),
    socket: ("AF_UNIX", "send_fds", "recv_fds"),
}.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
for name in sys.argv[1:]:
    importlib.import_module(name)
from graders.cli import main
main(["--help"])
"""


def run(script, *words):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_of_the_kit_is_meant():
    assert {"graders.cli", "graders.cli.new", "graders.bundle", "graders.reply"} <= set(KIT)


def test_the_kit_needs_no_library_of_the_server():
    run(NOT_OURS, SERVERS, *KIT)


def test_the_kit_can_be_imported_where_there_is_no_linux():
    assert "publish" in run(NOT_LINUX, *KIT)


def test_a_new_grader_needs_no_sandbox(tmp_path):
    script = NOT_OURS + f"\nfrom graders.cli import main\nmain(['new', r'{tmp_path / 'x'}'])\n"
    assert "graders check" in run(
        script, SERVERS + " docker requests fcntl resource", "graders.cli"
    )
