"""Ten tests of one Python program, each in a process of its own."""

from graders.library import GraderSession, grade_with

PROGRAM = {"submission.py": b"pass\n"}


def grade(session: GraderSession) -> None:
    ids = [f"t{number}" for number in range(1, 11)]
    session.announce([{"id": test_id, "max": 1} for test_id in ids])
    for test_id in ids:
        ran = session.run(["python3", "-I", "submission.py"], files=PROGRAM, zygote=True)
        session.report(test_id, score=int(ran.code == 0 and ran.reason == "exited"))


grade_with(grade)
