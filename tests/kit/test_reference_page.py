"""docs/graders/reference.md names everything that authors can write."""

import ast
import inspect
import re
import textwrap
from pathlib import Path

import pytest

import graders
from graders.cli.main import VERBS, main
from graders.grader_file import TOP_KEYS, read_grader_file
from graders.grader_keys import ALL_KEYS, COMMON_KEYS, IGNORABLE
from graders.grader_limits import LIMIT_KEYS
from graders.grader_sample import SAMPLE_KEYS
from graders.library.calling import Answer
from graders.library.checking import CheckedAnswer
from graders.library.grader import ProgramAnswer, TestRun
from tests.kit.language_tables import PAGE, with_tables
from tests.kit.written import write_files

TestRun.__test__ = False
TEXT = PAGE.read_text(encoding="utf-8")
GRADELIB = Path(graders.__file__).parent / "library" / "gradelib" / "gradelib.py"


def part(title):
    """A section of the page, up to the next heading that is not below it."""
    depth = len(title) - len(title.lstrip("#"))
    _, _, rest = TEXT.partition(f"\n{title}\n")
    assert rest, title
    return re.split(rf"\n#{{1,{depth}}} ", rest)[0]


def rows(title):
    """The words in the first column of the section's tables."""
    first = [line.split("|")[1] for line in part(title).splitlines() if line.startswith("| `")]
    return {word for cell in first for word in re.findall(r"`(\w+)", cell)}


@pytest.mark.parametrize(
    ("title", "keys"),
    [
        ("### At the top", TOP_KEYS),
        ("### A test", ALL_KEYS),
        ("### Limits", LIMIT_KEYS),
        ("### Samples", SAMPLE_KEYS),
    ],
)
def test_every_key_has_its_row_and_every_row_a_key(title, keys):
    words = {"language", "python", "c", "cpp", "java", "javascript", "sql", "bash"}
    assert rows(title) - words == set(keys) - {"language"}


def test_words_to_be_ignored_are_named():
    assert all(f"`{word}`" in part("### A test") for word in IGNORABLE)


def test_keys_of_tests_in_tier_1_are_named():
    assert all(f"`{key}`" in part("## The Python SDK (tier 1)") for key in COMMON_KEYS)


def public(cls):
    slots = [name for name in getattr(cls, "__slots__", ()) if not name.startswith("_")]
    methods = [name for name in vars(cls) if not name.startswith("_") and name != "__test__"]
    init = ast.parse(textwrap.dedent(inspect.getsource(cls.__init__)))
    attributes = [
        node.attr
        for node in ast.walk(init)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and not node.attr.startswith("_")
    ]
    return {*slots, *methods, *attributes}


@pytest.mark.parametrize(
    ("title", "cls"),
    [
        ("### Checkers", CheckedAnswer),
        ("## The Python SDK (tier 1)", TestRun),
        ("### Answers", Answer),
        ("### Answers", ProgramAnswer),
    ],
)
def test_every_attribute_of_the_sdk_is_documented(title, cls):
    text = part(title)
    missing = {name for name in public(cls) if not re.search(rf"`{name}\b", text)}
    assert not missing


def test_every_name_of_gradelib_is_documented():
    tree = ast.parse(GRADELIB.read_text(encoding="utf-8"))
    names = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    text = part("## Old graders (gradelib)")
    assert [name for name in names if f"`{name}`" not in text] == []


def test_the_tables_of_languages_are_those_of_the_code():
    assert with_tables(TEXT) == TEXT, "write them with: python -m tests.kit.language_tables"


def test_every_verb_and_option_of_ours_is_documented():
    text = part("## The command line")
    for verb in ("new", "try", "check"):
        assert verb in VERBS
        assert f"`graders {verb} " in text
        command = main.get_command(None, verb)
        options = [option for each in command.params for option in each.opts]
        assert [each for each in options if each.startswith("--") and each not in text] == []


def test_the_first_example_is_a_grader(tmp_path):
    example = TEXT.partition("```yaml\n")[2].partition("```")[0]
    files = dict.fromkeys(re.findall(r"(?:tests|samples)/[\w.-]+", example), "")
    grader = read_grader_file(write_files(tmp_path, {**files, "grader.yaml": example}))
    assert [test.test_id for test in grader.tests] == ["two", "many"]
