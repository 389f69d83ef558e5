"""An example grades the same on every engine; all samples on one engine are in `test_examples`."""

from pathlib import Path

import pytest

from graders.checking import answer_of, differences
from graders.grader_file import read_grader_file
from graders.languages import LANGUAGES
from graders.trying import opened
from tests.support.sandboxes import backend_of, need_images

EXAMPLES = Path(__file__).parents[2] / "graders" / "examples"
EXAMPLE_OF = {
    "python": "roman-numerals",
    "c": "reverse-words",
    "cpp": "lru-cache",
    "java": "bank-account",
    "javascript": "group-by",
    "sql": "bookshop",
    "bash": "access-log",
}
ON_EVERY_HOST = ("python", "c", "bash")
"""The host itself needs them; boxes on a host have its programs."""
ENGINES = ("docker-box", "docker-two", "bubblewrap")
SAMPLES = {"correct", "wrong", "looping"}
TRIED = [
    (engine_name, language)
    for engine_name in ENGINES
    for language in LANGUAGES
    if engine_name != "bubblewrap" or language in ON_EVERY_HOST
]


def samples_of(grader):
    return [sample for sample in grader.samples if Path(sample.path).stem in SAMPLES]


def test_every_language_has_the_three_samples_that_are_tried():
    files = [read_grader_file(EXAMPLES / EXAMPLE_OF[language]) for language in LANGUAGES]
    assert [file.language.name for file in files] == list(LANGUAGES)
    assert [len(samples_of(file)) for file in files] == [3] * len(LANGUAGES)


@pytest.mark.parametrize(("engine_name", "language"), TRIED)
def test_an_example_grades_as_it_declares_on_every_engine(request, engine_name, language):
    if engine_name == "docker-box":
        need_images(f"box-{language}")
    backend, _ = backend_of(request, engine_name)
    directory = EXAMPLES / EXAMPLE_OF[language]
    with opened(directory, backend) as grader:
        problems = {
            sample.path: list(differences(sample, grader.grade(answer_of(sample, directory))))
            for sample in samples_of(read_grader_file(directory))
        }
    assert problems == {path: [] for path in problems}
