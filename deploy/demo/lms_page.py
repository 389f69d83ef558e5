"""The stand-in LMS's page: what each learner sees, refreshed by the browser."""

from __future__ import annotations

import html
from collections.abc import Mapping

from deploy.demo.gradebook import InputState, ProblemInput

_PAGE = """<!doctype html>
<meta charset="utf-8"><title>Stand-in LMS</title>
<style>body{{font:15px sans-serif;margin:2em}} td,th{{padding:.3em 1em;text-align:left;
vertical-align:top;border-bottom:1px solid #ccc}} textarea{{width:40em;height:8em}}</style>
<h1>Stand-in LMS</h1>
{form}
<p>{callbacks} callbacks received so far. Reload the page to see new grades.</p>
<table><tr><th>Learner<th>Problem<th>State<th>Score<th>Message of the grader</tr>
{rows}</table>
"""

_FORM = """<form method="post" action="/submit">
<p>Problem <select name="problem">{options}</select></p>
<p><textarea name="answer">def square(x):
    return x * x
</textarea></p><button>Submit</button></form>"""


def render_page(
    states: Mapping[ProblemInput, InputState], callbacks: int, problems: tuple[str, ...]
) -> str:
    rows = "\n".join(_row(where, state) for where, state in states.items())
    return _PAGE.format(form=_form(problems), callbacks=callbacks, rows=rows)


def _form(problems: tuple[str, ...]) -> str:
    if not problems:
        return ""
    options = "".join(f"<option>{html.escape(name)}</option>" for name in problems)
    return _FORM.format(options=options)


def _row(where: ProblemInput, state: InputState) -> str:
    score = "" if state.score is None else f"{state.score:g}"
    # The message is the grader's HTML, shown as the LMS shows it: unescaped.
    cells = (where.user_id, where.usage_id.rpartition("@")[2], state.status, score)
    return "<tr>" + "".join(f"<td>{html.escape(c)}" for c in cells) + f"<td>{state.msg}</tr>"
