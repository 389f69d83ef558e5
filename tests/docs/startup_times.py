"""The table of start-up times in docs/graders/languages.md, measured on this machine.

    python -m tests.docs.startup_times [--runs 20]

Each program runs as learners' do, in the language's image with isolation split-uid, by the commands
of `graders.languages`; the time is the supervisor's, of one execution. The least of all runs is
shown, because what else goes on in the machine only adds to it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from graders.languages import LANGUAGES, SOURCE_FILES
from graders.shipping import library_files
from sandbox.backends.docker import DockerBackend
from sandbox.run import DirectoryGrader, ExitReason, RunRequest

HELLO = {
    "python": "print(1)\n",
    "c": '#include <stdio.h>\nint main(void) { puts("1"); }\n',
    "cpp": "#include <iostream>\nint main() { std::cout << 1 << '\\n'; }\n",
    "java": "class Main { public static void main(String[] a) { System.out.println(1); } }\n",
    "javascript": "console.log(1)\n",
    "sql": "select 1;\n",
    "bash": "echo 1\n",
}
HEADERS = {
    "cpp, <bits/stdc++.h>": "#include <bits/stdc++.h>\nint main() { std::cout << 1 << '\\n'; }\n",
    "cpp, <regex>": (
        "#include <iostream>\n#include <regex>\n"
        'int main() { std::cout << std::regex_match("1", std::regex("[0-9]")) << \'\\n\'; }\n'
    ),
}
GRADER = """
import json
from graders.library import grade_with

def grade(session):
    plan = json.loads(session.job.payload)
    files = {name: text.encode() for name, text in plan["files"].items()}
    session.announce([{"id": "t1", "title": "time", "max": 1}])
    compiling = None
    if plan["compile"]:
        ran = session.run(plan["compile"], files=files)
        assert ran.code == 0, ran.stderr.decode()
        compiling = ran.wall_ms
        names = session.run(["/bin/ls", "-A1"], keep=True).stdout.decode().split()
        made = [name for name in names if name not in files]
        files |= session.run(["/bin/true"], keep=True, collect=made).files
    ran = session.run(plan["run"], files=files, zygote=plan["run"][0] == "python3")
    assert ran.stdout == b"1\\n", (ran.code, ran.stdout, ran.stderr)
    times = {"compile": compiling, "run": ran.wall_ms}
    session.report("t1", score=1, output=json.dumps(times))

grade_with(grade)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Least:
    """Milliseconds of the quickest execution; None where nothing is compiled."""

    compile_ms: float | None
    run_ms: float


def measure(docker: DockerBackend, grader: Path, name: str, source: str, runs: int) -> Least:
    """Raises AssertionError when the program does not do what it should."""
    times = [_once(docker, grader, name, source, number) for number in range(runs)]
    compiling = [each["compile"] for each in times if each["compile"] is not None]
    return Least(
        compile_ms=min(compiling) if compiling else None,
        run_ms=min(each["run"] or 0.0 for each in times),
    )


def _once(
    docker: DockerBackend, grader: Path, name: str, source: str, number: int
) -> Mapping[str, float | None]:
    result = docker.run(
        RunRequest(
            run_id=f"startup-{os.getpid()}-{number}",
            grader=DirectoryGrader(path=grader, base=name),
            job={"response": source, "payload": _plan(name, source), "files": {}, "seed": 1},
            limits=LANGUAGES[name].limits,
        )
    )
    assert result.reason is ExitReason.COMPLETED, f"{name}: {result.detail} {result.grader_log}"
    times: Mapping[str, float | None] = json.loads(result.reports[0].output)
    return times


def _plan(name: str, source: str) -> str:
    language = LANGUAGES[name]
    submission = "Main.java" if name == "java" else language.submission
    files = {submission: source} | ({"database.sql": ""} if name == "sql" else {})
    words = [submission if word == SOURCE_FILES else word for word in language.compile or ()]
    return json.dumps({"files": files, "compile": words, "run": language.run})


def table(rows: Mapping[str, Least]) -> str:
    head = ["| | compile | one execution |", "|---|---|---|"]
    return "\n".join([*head, *(_row(name, least) for name, least in rows.items())])


def _row(name: str, least: Least) -> str:
    compiling = "" if least.compile_ms is None else f"{least.compile_ms:.0f} ms"
    return f"| {name} | {compiling} | {least.run_ms:.0f} ms |"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    runs = parser.parse_args(arguments).runs
    sources = [(name, name, source) for name, source in HELLO.items()]
    sources += [(title, "cpp", source) for title, source in HEADERS.items()]
    rows: dict[str, Least] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(DockerBackend(library=library_files())) as docker,
    ):
        Path(folder, "grade.py").write_text(GRADER, encoding="utf-8")
        for title, name, source in sources:
            rows[title] = measure(docker, Path(folder), name, source, runs)
    print(f"{os.cpu_count()} processors, {platform.machine()}, Linux {platform.release()}")  # noqa: T201
    print(table(rows))  # noqa: T201


if __name__ == "__main__":
    main()
