"""No link leads nowhere, and every reader's page is one click from the README."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import TOP, Page, pages, slug_of

FOREIGN = ("http://", "https://", "mailto:")
READERS = {
    "LMS": "docs/how-to/lms-operator.md",
    "polls": "docs/how-to/external-grader.md",
    "course": "docs/how-to/course-team.md",
    "grading capacity": "docs/how-to/operator.md",
}
"""A word of the README's line on them, and where they start."""
PAGE_IN_CODE = re.compile(r"(?<![\w/.-])docs/[\w./-]+\.md\b")
SOURCES = (
    "deploy",
    "grader_worker",
    "graders",
    "proctoring_hooks",
    "sandbox",
    "scripts",
    "tests",
    "xqueue_server",
)
SUFFIXES = {".py", ".sh", ".c", ".h", ".toml", ".yaml", ".Dockerfile"}


def broken_links(page: Page) -> list[str]:
    """With what is wrong with each."""
    return [wrong for link in page.links if (wrong := _problem(page, link))]


def _problem(page: Page, link: str) -> str:
    if link.startswith(FOREIGN):
        return ""
    name, _, anchor = link.partition("#")
    target = (page.path.parent / name).resolve() if name else page.path
    if not target.exists():
        return f"{link}: nothing is there"
    if not target.is_relative_to(TOP):
        return f"{link}: leads out of the project"
    if not anchor:
        return ""
    there = Page(path=target, text=target.read_text(encoding="utf-8")).anchors
    return "" if anchor in there else f"{link}: no such heading; there are {sorted(there)}"


@pytest.mark.parametrize("page", pages(), ids=str)
def test_every_link_of_a_page_leads_somewhere(page: Page) -> None:
    assert broken_links(page) == []


@pytest.mark.parametrize("reader", READERS)
def test_each_reader_has_a_start_page_one_click_from_the_readme(reader: str) -> None:
    readme = (TOP / "README.md").read_text(encoding="utf-8")
    line = next(line for line in readme.splitlines() if line.startswith("|") and reader in line)
    start = READERS[reader]
    assert f"]({start})" in line
    assert (TOP / start).is_file()


def test_every_page_is_linked_from_another() -> None:
    """The plan apart, which is no documentation."""
    linked = {
        (page.path.parent / link.partition("#")[0]).resolve()
        for page in pages()
        for link in page.links
        if not link.startswith(FOREIGN)
    }
    documents = {page.path for page in pages() if page.path.is_relative_to(TOP / "docs")}
    assert {str(path.relative_to(TOP)) for path in documents - linked} == set()


def test_pages_that_the_code_names_exist() -> None:
    named = {
        (path.relative_to(TOP).as_posix(), name)
        for folder in SOURCES
        for path in (TOP / folder).rglob("*")
        if path.suffix in SUFFIXES and "samples" not in path.parts
        for name in PAGE_IN_CODE.findall(path.read_text(encoding="utf-8"))
    }
    foreign = {name for _, name in named if name.startswith("docs/grader-interface")}
    assert {each for each in named if not (TOP / each[1]).is_file()} <= {
        each for each in named if each[1] in foreign
    }


@pytest.mark.parametrize(
    ("heading", "slug"),
    [
        ("What it costs", "what-it-costs"),
        ("`queue`", "queue"),
        ("Any other language: an image (tier 2)", "any-other-language-an-image-tier-2"),
        ("The [box](sandbox.md#box) engine", "the-box-engine"),
    ],
)
def test_headings_are_named_as_on_github(heading: str, slug: str) -> None:
    assert slug_of(heading) == slug


def test_a_dead_link_is_noticed() -> None:
    text = "# Here\n[a](nowhere.md) [b](#here) [c](#there) `[d](code.md)`\n```\n[e](code.md)\n```\n"
    page = Page(path=TOP / "README.md", text=text)
    wrong = [_problem(page, link) for link in page.links]
    assert page.anchors == {"here"}
    assert [bool(each) for each in wrong[:1]] == [True]
    assert len(page.links) == 3
