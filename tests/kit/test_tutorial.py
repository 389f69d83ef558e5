"""docs/graders/tutorial.md, followed to the letter: every file written, every command run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.demo.processes import ROOT
from tests.acceptance.site import QUEUE, Site

TUTORIAL = ROOT / "docs" / "graders" / "tutorial.md"
BLOCK = re.compile(r"```(\w+)(?: file=(\S+))?\n(.*?)```", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    kind: str
    file: str
    text: str


def blocks() -> Iterator[Block]:
    for kind, file, text in BLOCK.findall(TUTORIAL.read_text(encoding="utf-8")):
        yield Block(kind=kind, file=file, text=text)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    database = f"sqlite:///{tmp_path}/queue.db"
    with Site(tmp_path, database_url=database, lms_origin="http://127.0.0.1:1") as site:
        site.prepare()
        site.start_server(workers=1)
        yield site


def run(script: str, folder: Path, site: Site, token: Path) -> str:
    """As a person's shell does, with the kit on its PATH."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "GRADERS_SERVER": site.url,
        "GRADERS_TOKEN_FILE": str(token),
        "QUEUE": QUEUE,
    }
    done = subprocess.run(
        ["sh", "-eu", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.usefixtures("docker_backend")
def test_the_tutorial_works_as_it_is_written(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "teacher"
    folder.mkdir()
    author = site.author()
    said = ""
    for block in blocks():
        if block.file:
            (folder / block.file).write_text(block.text, encoding="utf-8")
        elif block.kind == "sh":
            said = run(block.text, folder, site, author.token_file)
        else:
            assert block.kind == "text"
            for line in block.text.splitlines():
                assert line in said
    assert "The mean of a list" in (folder / "wrong.html").read_text(encoding="utf-8")
    problem = ElementTree.parse(folder / "problem.xml").getroot()
    assert problem.find("coderesponse[@queuename]") is not None
    assert "* 1 " in run("graders versions mean --queue $QUEUE", folder, site, author.token_file)


def test_the_checked_grader_has_no_findings(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "teacher"
    folder.mkdir()
    run("graders new mean --lang python", folder, site, tmp_path)
    for block in blocks():
        if block.file:
            (folder / block.file).write_text(block.text, encoding="utf-8")
    assert "0 errors, 0 warnings." in run("graders check mean", folder, site, tmp_path)
