"""One test: the learner's program is a bare interpreter."""

from graders.library import GraderSession, grade_with


def grade(session: GraderSession) -> None:
    session.announce([{"id": "t1", "max": 1}])
    ran = session.run(["python3", "-I", "-c", "pass"])
    session.report("t1", score=int(ran.code == 0 and ran.reason == "exited"))


grade_with(grade)
