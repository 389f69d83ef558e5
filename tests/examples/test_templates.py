"""What `graders new` makes works at once, in every language."""

from functools import partial

import pytest

from graders.checking import Kind, check_grader
from graders.grader_file import read_grader_file
from graders.languages import LANGUAGES
from graders.templating import create_grader, languages
from tests.support.together import try_together, wanted_cases


def test_every_language_has_a_template():
    assert set(languages()) == set(LANGUAGES)


@pytest.fixture(scope="module")
def checked(request, docker_backend, tmp_path_factory):
    """What the check of each language's new grader came to."""
    wanted = wanted_cases(request, "language")
    folder = tmp_path_factory.mktemp("new")
    for language in wanted:
        create_grader(folder / language / "first-steps", language)
    return try_together(
        {
            language: partial(check_grader, folder / language / "first-steps", docker_backend)
            for language in wanted
        }
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_new_grader_grades_its_samples_as_it_declares(checked, language):
    findings = checked[language].result()
    assert [str(finding) for finding in findings if finding.kind is not Kind.OK] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_new_grader_bears_its_name_everywhere(tmp_path, language):
    files = create_grader(tmp_path / "first-steps", language)
    texts = [(tmp_path / "first-steps" / file).read_text() for file in files]
    assert read_grader_file(tmp_path / "first-steps").name == "first-steps"
    assert not [text for text in texts if "@NAME@" in text or "@TITLE@" in text]
