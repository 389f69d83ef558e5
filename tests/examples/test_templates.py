"""What `graders new` makes works at once, in every language."""

import pytest

from graders.checking import Kind, check_grader
from graders.grader_file import read_grader_file
from graders.languages import LANGUAGES
from graders.templating import create_grader, languages


def test_every_language_has_a_template():
    assert set(languages()) == set(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_new_grader_grades_its_samples_as_it_declares(docker_backend, tmp_path, language):
    create_grader(tmp_path / "first-steps", language)
    findings = check_grader(tmp_path / "first-steps", docker_backend)
    assert [str(finding) for finding in findings if finding.kind is not Kind.OK] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_new_grader_bears_its_name_everywhere(tmp_path, language):
    files = create_grader(tmp_path / "first-steps", language)
    texts = [(tmp_path / "first-steps" / file).read_text() for file in files]
    assert read_grader_file(tmp_path / "first-steps").name == "first-steps"
    assert not [text for text in texts if "@NAME@" in text or "@TITLE@" in text]
