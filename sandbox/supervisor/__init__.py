"""The trusted process between a grader, a learner's code and the host that wants the result.

The process itself is `xq`, one static C program whose sources are beside this file (`build.sh`
makes `bin/xq`, `xq.c` begins with its modes and frames). It is in `sandbox`, not in `graders`,
because the bubblewrap backend starts it itself and `sandbox` imports nobody.

What Python there is here is for the other ends of its frames:

    frames      length-prefixed JSON, the only language spoken (host and grader library)
    light_json  their JSON, imported in no time
    endings     the words in which it says why something is over
    layout      where things are inside containers and boxes, and where `xq` is
    host        the pre-started Python in a container; never imported

After `ready`, the host sends one frame, `start`, and reads until `ended`:

    start    job, files, limits, and for boxes isolation
    learner  active: whether the learner's code is running
    tests, report, done, fail   of the grader, passed on unread
    ended    how (`endings.Ending`), detail, log (base64)

`--slot` then says `ready` again, or `unclean` with a `why` and ends. `--grader` hands on the
grader's `run` frames and takes `ran` for each; `--learner` is sent `start` with `limits` alone,
and answers each `run` with `ran`. The members of all frames are listed in `xq.c`.
"""
