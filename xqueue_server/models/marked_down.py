"""A grade that counts less than it was graded: what the LMS is sent in its place."""

from __future__ import annotations

import html
import json

from xqueue_server.models.lms_interface import SCORE_UPDATE, dispatch_of, grade_in, why_refused


def marked_down(callback_url: str, body: str, factor: float, words: str) -> str:
    """The same reply with its score times `factor`, and `words` (plain text) before its message.

    Valid by the rules of `lms_interface` if the reply is. A message that can not stand beside
    others is left out: the grade matters more. What is no grade stays as it is.
    """
    if dispatch_of(callback_url) != SCORE_UPDATE or grade_in(body) is None:
        return body
    reply = json.loads(body)
    reply["score"] = float(reply["score"]) * factor
    note = f"<p>{html.escape(words)}</p>"
    message = reply.get("msg")
    tried = [f"<div>{note}{message}</div>", f"{note}{message}"] if message else []
    for reply["msg"] in (*tried, note):
        written = json.dumps(reply)
        if why_refused(callback_url, written) is None:
            return written
    return body
