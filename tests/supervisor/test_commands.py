"""A grader in any language: `xq run`, `xq report` and the others, from a shell."""

import json

from tests.supervisor.harness import b64, text


def graded(supervise, script, **more):
    frames = supervise().grade({"grade": f"#!/bin/sh\n{script}\n", **more.pop("files", {})}, **more)
    return [frame for frame in frames if frame["type"] != "learner"]


def test_a_whole_grader_in_shell(supervise):
    script = """
set -e
xq tests '[{"id":"t1","max":2}]'
printf 'in\\n' > case.txt
out=$(xq run --time 2 --cpu 1 --mem 128m --out 64k --file submission.sh=/scratch/response \\
      -- sh submission.sh one < case.txt)
if [ "$out" = "one in" ]; then score=2; else score=0; fi
xq report --id t1 --score $score --output "$out" --duration_ms 12.5
xq done
"""
    frames = graded(supervise, script, job={"response": 'read line; echo "$1 $line"'})
    assert frames[0] == {"type": "tests", "tests": [{"id": "t1", "max": 2}]}
    report = {"type": "report", "id": "t1", "score": 2, "output": "one in", "duration_ms": 12.5}
    assert frames[1] == report
    assert frames[-1]["how"] == "finished", text(frames[-1]["log"])


def test_the_exit_code_tells_how_the_program_ended(supervise):
    script = """
run() { xq run "$@" >/dev/null 2>&1 </dev/null; codes="$codes $?"; }
run -- sh -c 'exit 42'
run --time 0.3 -- sleep 60
run --out 1k -- yes
run -- no-such-program
run -- sh -c 'kill -9 $$'
run --nonsense 1 -- true
run
xq report --id codes --score 0 --output "$codes"
xq done
"""
    assert graded(supervise, script)[0]["output"] == " 42 124 125 127 137 126 126"


def test_both_streams_come_out_and_stdin_goes_in(supervise):
    script = """
printf 'a\\0b' | xq run -- sh -c 'cat; echo err >&2' > out 2> err
xq report --id t --score 0 --output "$(od -An -c out)$(cat err)"
xq done
"""
    script = script.replace(" out 2> err", " /scratch/out 2> /scratch/err")
    script = script.replace("od -An -c out", "od -An -c /scratch/out").replace(
        "cat err", "cat /scratch/err"
    )
    assert graded(supervise, script)[0]["output"].split() == ["a", "\\0", "berr"]


def test_keep_and_collect_bring_a_compiled_program_from_run_to_run(supervise):
    script = """
xq run -- sh -c 'echo "echo made" > made.sh' </dev/null
xq run --keep --collect made.sh=/scratch/copy -- sh made.sh </dev/null > /scratch/out
xq report --id t --score 0 --output "$(cat /scratch/out /scratch/copy)"
xq done
"""
    assert graded(supervise, script)[0]["output"] == "made\necho made"


def test_a_collected_file_that_is_left_out_is_told(supervise):
    script = r"""
xq run --collect a=/scratch/a --collect 'b$1=/scratch/b' -- \
   python3 -c 'open("a", "w").truncate(5 << 20); open("b$1", "w").write("B\n")' \
   </dev/null 2> /scratch/err
set -- ; for n in $(seq 101); do set -- "$@" --collect f$n; done
xq run "$@" -- true </dev/null 2>> /scratch/err
xq report --id t --score 0 --output "$(cat /scratch/b; ls /scratch; cat /scratch/err)"
xq done
"""
    said = graded(supervise, script)[0]["output"].splitlines()
    assert said[0] == "B"
    assert "a" not in said
    assert said[-2:] == [
        "xq: not collected, all files together may have 4194304 bytes: a",
        "xq: more files to collect than can be: f101",
    ]


def test_the_job_is_there_as_files_and_on_request(supervise):
    script = """
xq report --id job --score 0 --output "$(xq job)"
xq report --id response --score 0 --output "$(xq job response; cat /scratch/response)"
xq report --id payload --score 0 --output "$(xq job payload)"
xq report --id seed --score 0 --output "$(xq job seed)"
cd /scratch/files
xq report --id files --score 0 --output "$(xq job files; cat a.txt b.bin)"
xq report --id outside --score 0 --output "$(ls /scratch/files)"
xq done
"""
    job = {
        "response": "é\n",
        "payload": '{"x": 1}',
        "seed": 7,
        "files": {"a.txt": "A", "b.bin": {"base64": b64("B")}, "../c": "no"},
    }
    said = {frame["id"]: frame["output"] for frame in graded(supervise, script, job=job)[:-2]}
    assert json.loads(said["job"]) == job
    assert said["response"] == "é\né"
    assert (said["payload"], said["seed"]) == ('{"x": 1}', "7")
    assert said["files"] == "a.txt\nb.bin\n../c\nAB"
    assert said["outside"] == "a.txt\nb.bin"


def test_reports_are_json_whatever_a_learner_printed(supervise):
    script = r"""
bad=$(printf '\377\033[1m"\\ \001')
xq report --id t1 --score 0.5 --output "$bad" --expected "a	b"
printf '{"id":"t2","score":1,"output":"\377"}' | xq report -
xq report '{"id":"t3","score":1e0,"visible":false}'
xq report 'not json' 2>/scratch/err; echo "$?" >>/scratch/err
xq report '{"type":"ended"}' 2>>/scratch/err; echo "$?" >>/scratch/err
xq report --score NaN 2>>/scratch/err; echo "$?" >>/scratch/err
xq report --id t4 --score 0 --output "$(cat /scratch/err)"
xq fail 'no "way"'
"""
    frames = graded(supervise, script)
    assert frames[0]["output"] == '\ufffd\x1b[1m"\\ \x01'
    assert frames[0]["expected"] == "a\tb"
    assert frames[1]["output"] == "\ufffd"
    assert frames[2] == {"type": "report", "id": "t3", "score": 1.0, "visible": False}
    assert frames[3]["output"].splitlines()[1::2] == ["126", "126", "126"]
    assert frames[4] == {"type": "fail", "detail": 'no "way"'}


def test_runs_asked_for_at_once_take_turns(supervise):
    script = """
for number in 1 2 3 4 5; do
    xq run -- sh -c "sleep 0.1; echo $number" </dev/null > /scratch/$number &
done
wait
xq report --id t --score 0 --output "$(cat /scratch/[1-5])"
xq done
"""
    assert graded(supervise, script)[0]["output"] == "1\n2\n3\n4\n5"


def test_pictures_go_along(supervise):
    script = """
printf 'PNG' > /scratch/p
xq report --id t --score 0 --picture plot=/scratch/p --picture two=/scratch/p
xq done
"""
    pictures = graded(supervise, script)[0]["pictures"]
    assert pictures == [{"label": label, "data": b64("PNG")} for label in ("plot", "two")]
