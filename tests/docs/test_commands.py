"""Commands, options, settings and targets that pages name are those of the programs."""

from __future__ import annotations

import re

import click
import pytest

from grader_worker.cli import main as grader_worker
from grader_worker.settings import QUEUE_KEYS
from graders.cli import main as graders
from sandbox.cli import NAMES
from sandbox.cli import main as sandbox_check
from sandbox.run import Limits
from tests.docs.pages import TOP, Page, pages
from tests.docs.quoted import Quoted, Wrong, commands_of, require_accepted
from xqueue_server.settings import SETTINGS

PAGES = pages()
COMMANDS = [quoted for page in PAGES for quoted in commands_of(page)]
VARIABLE = re.compile(r"\b(?:XQUEUE|GRADER_WORKER|GRADERS)_[A-Z0-9_]*[A-Z]\b")
NOT_OURS = {"XQUEUE_PORT", "XQUEUE_SERVICE", "XQUEUE_INTERFACE"}
"""Kubernetes injects the first two; the last is the LMS's."""
MAKE = re.compile(r"^make ([a-z]+)")


def page(name: str) -> Page:
    path = TOP / name
    return Page(path=path, text=path.read_text(encoding="utf-8"))


def options_of(command: click.Command) -> list[str]:
    return [
        name
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for name in parameter.opts
        if name.startswith("--")
    ]


def unnamed(options: list[str], text: str) -> list[str]:
    return [each for each in options if not re.search(rf"{re.escape(each)}(?![\w-])", text)]


@pytest.mark.parametrize("quoted", COMMANDS, ids=str)
def test_a_quoted_command_would_be_accepted(quoted: Quoted) -> None:
    require_accepted(quoted)


def test_commands_of_every_program_are_found() -> None:
    assert len(COMMANDS) > 150
    assert {quoted.text.split()[0] for quoted in COMMANDS} == {
        "graders",
        "grader-worker",
        "xqueue-server",
        "sandbox-check",
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("graders tyr DIR ANSWER", "no command tyr"),
        ("graders try DIR ANSWER --jsn", "--jsn"),
        ("graders try DIR", "submission missing"),
        ("graders check DIR OTHER", "unexpected OTHER"),
        ("graders rollback NAME zero --queue Q", "zero"),
        ("xqueue-server submission list --state heldd", "heldd"),
        ("xqueue-server token create --account a --role author --queue q --expires 30", "30d"),
        ("xqueue-server queue limits cs101 --wall-s", "--wall-s"),
        ("grader-worker sandboxd --backend podman", "podman"),
        ("sandbox-check --suite all", "name missing"),
    ],
)
def test_a_wrong_command_is_noticed(text: str, why: str) -> None:
    with pytest.raises(Wrong, match=re.escape(why)):
        require_accepted(Quoted(page="-", text=text, is_whole=True))


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("$ printf x | xqueue-server db status --json  # a comment", 1),
        ("image=$(graders build DIR --push r.example.org/a)", 1),
        ("GRADERS_SERVER=https://x.example.org graders versions --queue q > out.txt", 1),
        ("the graders are kept in graders/examples", 0),
    ],
)
def test_commands_are_found_where_shells_see_them(line: str, found: int) -> None:
    quoted = list(commands_of(Page(path=TOP / "README.md", text=f"```\n{line}\n```\n")))
    assert len(quoted) == found
    for each in quoted:
        require_accepted(each)


def test_every_option_of_the_workers_commands_is_on_its_page() -> None:
    assert isinstance(grader_worker, click.Group)
    text = page("docs/reference/worker.md").text
    missing = {name: unnamed(options_of(each), text) for name, each in _verbs(grader_worker)}
    assert {name: options for name, options in missing.items() if options} == {}


def _verbs(group: click.Group) -> list[tuple[str, click.Command]]:
    return list(group.commands.items())


def test_every_key_of_workers_toml_is_on_the_workers_page() -> None:
    text = page("docs/reference/worker.md").text
    names = (*QUEUE_KEYS, *Limits.__dataclass_fields__)
    assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []


def test_every_option_of_sandbox_check_is_on_the_sandboxs_page() -> None:
    assert unnamed(options_of(sandbox_check), page("docs/reference/sandbox.md").text) == []


def test_every_case_that_pages_name_exists() -> None:
    named = {name for each in COMMANDS for name in re.findall(r"--case ([a-z0-9-]+)", each.text)}
    assert named
    assert named <= NAMES


def test_every_verb_and_option_of_the_kit_is_on_its_page() -> None:
    assert isinstance(graders, click.Group)
    text = page("docs/graders/reference.md").text.partition("## The command line")[2]
    context = click.Context(graders)
    for verb in graders.list_commands(context):
        command = graders.get_command(context, verb)
        assert command is not None
        assert f"`graders {verb} " in text
        assert unnamed(options_of(command), text) == []


def test_every_variable_that_pages_name_is_read_somewhere() -> None:
    folders = (
        "xqueue_server",
        "grader_worker",
        "graders",
        "sandbox",
        "proctoring_hooks",
        "deploy",
    )
    sources = [path for folder in folders for path in (TOP / folder).rglob("*.py")]
    sources += [*(TOP / "deploy" / "compose").glob("*.yaml"), *TOP.glob("deploy/compose/env.*")]
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    named = {name for each in PAGES for name in VARIABLE.findall(each.text)}
    assert named - NOT_OURS - set(SETTINGS) - set(VARIABLE.findall(code)) == set()


def test_every_make_target_that_pages_name_exists() -> None:
    makefile = (TOP / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    lines = [line for each in PAGES for line in (*each.blocks, *each.spans)]
    named = {found[1] for line in lines if (found := MAKE.match(line))}
    assert named <= targets
    assert "services" in named
