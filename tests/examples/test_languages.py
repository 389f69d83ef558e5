"""The languages' images hold what the table of languages and its documentation say."""

import re
import subprocess
from pathlib import Path

import pytest

from graders.grader_file import read_grader_file
from graders.languages import LANGUAGES, SOURCE_FILES, image_of
from sandbox.run import MIB

TOP = Path(__file__).parents[2]
LANGUAGES_PAGE = TOP / "docs" / "graders" / "languages.md"
EXAMPLES_PAGE = TOP / "docs" / "graders" / "examples.md"
VERSIONS_ARE_OF = "bookworm"


def rows(page, name):
    """The cells of each row of the table between two marks."""
    between = re.search(rf"<!-- {name} -->(.*)<!-- /{name} -->", page.read_text(), re.DOTALL)
    lines = [line for line in between[1].splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def in_image(language, *command):
    """What a command says in a language's image, as nobody, with nothing writable."""
    run = ["docker", "run", "--rm", "--network", "none", "--read-only", "--user", "54321:54321"]
    whole = [*run, "--entrypoint", command[0], image_of(language), *command[1:]]
    return subprocess.run(whole, capture_output=True, text=True, check=True).stdout


def test_the_documented_limits_are_those_of_the_table():
    documented = {row[0].strip("`"): row[2:] for row in rows(LANGUAGES_PAGE, "languages")}
    assert documented == {
        language.name: [
            f"`{language.submission}`",
            f"{language.test_wall_s:g} s",
            f"{language.limits.learner_wall_s:g} s" if language.compile else "",
            f"{language.limits.memory_bytes // MIB} MB",
            f"{language.limits.pids}",
            f"{language.limits.scratch_bytes // MIB} MB",
        ]
        for language in LANGUAGES.values()
    }


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=lambda language: language.name)
def test_the_documented_commands_are_those_of_the_table(language):
    page = " ".join(LANGUAGES_PAGE.read_text().split())
    run = [f'"{word}"' if " " in word else word for word in language.run]
    assert " ".join(run) in page
    if language.name in ("c", "cpp"):
        assert " ".join(language.compile) in page


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=lambda language: language.name)
def test_an_image_has_the_documented_version(engine, language):
    release = in_image(language.name, "sh", "-c", '. /etc/os-release; echo "$VERSION_CODENAME"')
    documented = {row[0].strip("`"): row[1] for row in rows(LANGUAGES_PAGE, "languages")}
    version = documented[language.name].split()[-1]
    said = in_image(language.name, *language.version).splitlines()[0]
    if release.strip() == VERSIONS_ARE_OF:
        assert re.search(rf"(?<![\d.]){re.escape(version)}(?!\d)", said)
    else:
        assert re.search(r"\d+\.\d+", said)


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_image_keeps_no_package_lists_and_no_settings_of_the_builders_host(engine, language):
    script = "ls /var/lib/apt/lists /etc/apt/apt.conf.d; ls -d /apt /new 2>/dev/null || true"
    assert set(in_image(language, "sh", "-c", script).split()) <= {
        "/etc/apt/apt.conf.d:",
        "/var/lib/apt/lists:",
        "01autoremove",
        "70debconf",
        "docker-autoremove-suggests",
        "docker-clean",
        "docker-gzip-indexes",
        "docker-no-languages",
    }


def test_every_compile_command_names_the_sources():
    compiled = [language for language in LANGUAGES.values() if language.compile]
    assert [language.name for language in compiled] == ["c", "cpp", "java"]
    assert all(SOURCE_FILES in language.compile for language in compiled)


def test_every_example_is_documented_with_its_language_and_tier():
    documented = {
        re.search(r"`(.+?)`", row[0])[1]: row[1:3] for row in rows(EXAMPLES_PAGE, "examples")
    }
    found = {}
    for path in (TOP / "graders" / "examples").glob("*/grader.yaml"):
        grader = read_grader_file(path.parent)
        found[grader.name] = [grader.language.name, f"{grader.tier}"]
        assert grader.name == path.parent.name
    assert documented == found
