"""The wheel of which images are made has everything that the source has."""

import re
import shutil
import subprocess
import sys
import tomllib
from zipfile import ZipFile

import pytest

from tests.deploy.machine import TOP

EXAMPLES = "graders/examples/"
"""For reading, in a checkout."""
SUPERVISOR = re.compile(r"sandbox/supervisor/\w+\.(c|h|sh)")
BUILT = "sandbox/supervisor/bin/xq"
"""What was made of them."""


@pytest.fixture(scope="module")
def packages():
    project = tomllib.loads((TOP / "pyproject.toml").read_text())
    included = project["tool"]["setuptools"]["packages"]["find"]["include"]
    return [name.removesuffix("*") for name in included]


@pytest.fixture(scope="module")
def parts():
    """What build-app.sh makes the wheel of."""
    script = (TOP / "deploy" / "docker" / "build-app.sh").read_text()
    return re.search(r'^parts="(.+)"$', script, re.MULTILINE)[1].split()


def copy_of(source, target):
    """Without what Python writes there, and renames, while other tests run."""
    if source.is_dir():
        compiled = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, target, symlinks=True, ignore=compiled)
    else:
        shutil.copy2(source, target)


def test_every_list_of_our_packages_is_the_same(packages, parts):
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]
    there = [path.parent.name for path in TOP.glob("*/__init__.py")]
    assert sorted(there) == sorted(packages)
    assert packages == project["mypy"]["packages"] == project["importlinter"]["root_packages"]
    assert [each for each in parts if (TOP / each).is_dir()] == packages


def test_the_wheel_has_every_file_of_the_packages(packages, parts, tmp_path):
    copy = tmp_path / "source"
    copy.mkdir()
    for each in ("README.md", "LICENSE", *parts):
        copy_of(TOP / each, copy / each)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"),
            *("--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, copy),
        ],
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with ZipFile(wheel) as opened:
        held = {re.sub(r"^[^/]+\.data/purelib/", "", name) for name in opened.namelist()}
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *packages],
        cwd=TOP, check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    wanted = {
        each
        for each in listed
        if (copy / each).exists()
        and not each.startswith(EXAMPLES)
        and not SUPERVISOR.fullmatch(each)
    }
    assert "xqueue_server/web/proctoring/static/console.js" in wanted
    if (TOP / BUILT).exists():  # `make setup` was run
        wanted.add(BUILT)
    assert wanted - held == set()
