"""The trusted process between a grader, a learner's code and the host that wants the result.

One program for all backends: PID 1 of a container (copied into the images as `/xq/sandbox/`), or
a child process of the worker beside two bubblewrap boxes. It lives in `sandbox`, not in
`graders/launcher`, because the bubblewrap backend starts it itself and `sandbox` imports nobody.

Everything here runs with `python3 -I -S` and nothing but the standard library, and avoids
`dataclasses`, `typing`, `enum` and `selectors` at run time: they would double its start-up time,
which every learner waits for.

    frames      length-prefixed JSON, the only language spoken
    watching    one poll loop: descriptors, ended children, deadlines
    programs    what to start, what came of it
    placing     puts files into place and becomes the program (also used alone, inside a box)
    by_uid      starts programs by forking to another uid (inside a container)
    by_box      starts programs in bubblewrap boxes (on a host)
    executing   one run of the learner's program: feeding, capturing, limits
    session     the conversation with the grader
"""
