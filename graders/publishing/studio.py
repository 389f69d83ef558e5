"""The problem a course team pastes into Studio (Advanced > Blank Problem, as XML).

Elements and attributes are those of Open edX's capa: `coderesponse` posts to the queue it names,
`grader_payload` reaches the grader verbatim, an input's `points` is the maximum of its score.
"""

from __future__ import annotations

import json
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from graders.languages import LANGUAGES
from graders.manifest import Manifest

EDITOR_MODES = {
    "python": "python",
    "c": "text/x-csrc",
    "cpp": "text/x-c++src",
    "java": "text/x-java",
    "javascript": "javascript",
    "sql": "text/x-sql",
    "bash": "shell",
}


def problem_xml(manifest: Manifest, queue: str) -> str:
    """A complete `<problem>`; what the author still writes is the question and the first lines."""
    problem = Element("problem", display_name=manifest.title)
    SubElement(problem, "p").text = f"{manifest.title}. (Write the question here.)"
    response = SubElement(problem, "coderesponse", queuename=queue)
    _add_inputs(response, manifest)
    codeparam = SubElement(response, "codeparam")
    SubElement(codeparam, "initial_display").text = _initial_display(manifest)
    SubElement(codeparam, "answer_display").text = "See the discussion of this problem."
    SubElement(codeparam, "grader_payload").text = json.dumps({"grader": manifest.name})
    indent(problem)
    return tostring(problem, encoding="unicode") + "\n"


def _add_inputs(response: Element, manifest: Manifest) -> None:
    """A learner either types code or attaches files: capa's two inputs exclude each other."""
    if manifest.needs_files:
        names = json.dumps(list(manifest.needs_files))
        given = SubElement(response, "filesubmission", allowed_files=names, required_files=names)
    else:
        mode = EDITOR_MODES[manifest.base]
        given = SubElement(response, "textbox", mode=mode, rows="20", cols="80", tabsize="4")
    if manifest.lms_points is not None:
        given.set("points", f"{manifest.lms_points:g}")


def _initial_display(manifest: Manifest) -> str:
    return f"{_comment(manifest.base)} Write your {LANGUAGES[manifest.base].title} here.\n"


def _comment(base: str) -> str:
    return {"python": "#", "bash": "#", "sql": "--"}.get(base, "//")
