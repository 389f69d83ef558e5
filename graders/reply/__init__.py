"""From a `RunResult` to what the LMS takes as a grade, and to a record for the course team."""

from graders.reply.message import build_reply
from graders.reply.record import result_record
from graders.reply.score import NoGrade

__all__ = ["NoGrade", "build_reply", "result_record"]
