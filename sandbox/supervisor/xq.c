/* xq: the trusted process between a grader, a learner's code and the host that wants the result.
 *
 *   xq --container   PID 1 of a container with three uids (root with SETUID, SETGID, KILL only)
 *   xq --boxes       beside two bubblewrap boxes, on a host
 *   xq --slot        PID 1 of a long-lived container without root: session after session in boxes
 *   xq --grader      PID 1 of the grader's container of a split run (no root)
 *   xq --learner     PID 1 of the learner's container of a split run (no root)
 *   xq --place, xq --box                          the first processes inside boxes (in_box.h)
 *   xq run|tests|report|done|fail|job ...         a grader's commands (commands.h)
 *   xq readable FIRST LAST PATH...                what a learner finds in an image (readable.h)
 *
 * All of them speak frames (frames.h). The host writes to stdin and reads stdout:
 *
 *   mode         xq says         host says       xq says
 *   --container  ready           start           learner*, tests, report*, done|fail, ended
 *   --boxes      ready           start           the same; `isolation` of the start frame counts
 *   --slot       ready           start           the same, then `ready` again (for the next start),
 *                                                or `unclean`: it must not be used again
 *   --grader     ready           start           the same, and `run`, answered with `ran`
 *   --learner    ready           start           nothing;
 *                                run             ran; and so on until the host closes
 *
 *   start    job {}, files [{path, content, executable}], limits {}, isolation {} for boxes;
 *            --learner reads its limits only
 *   learner  active: whether the learner's code is running, should all of us die together
 *   ended    how (session.c), detail, log: the last bytes of the grader's output
 *   unclean  why: what is not as it was before the session, as a sentence; the slot ends with it
 *   run      argv, stdin, files {name: content}, wall_s, cpu_s, output_bytes, memory_bytes, keep,
 *            zygote, env {}, collect [names]; from the grader, all but argv may be missing
 *   ran      reason (exited, time, memory, output), code, stdout, stderr, wall_ms, and with
 *            `collect` files {name: content}
 *   job      job, limits: the first frame to a grader
 *
 * Contents, stdin, stdout, stderr and log are base64. A process that ends without `ended` has
 * failed; 70 is its exit code where it could still say so.
 */
#include <errno.h>
#include <linux/close_range.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "commands.h"
#include "in_box.h"
#include "isolation.h"
#include "python_host.h"
#include "session.h"
#include "slot.h"

/* The kernel may be long at freeing what a killed program held, as a deep tree of folders. */
#define REMAINS_S 60.0

static void begin(void) {
    /* Nothing that a careless parent left open reaches a program of ours. */
    syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC);
    watch_begin();
}

static void begin_in_container(void) {
    begin();
    become_undumpable();
}

static void serve_container(void) {
    struct frame start;
    begin_in_container();
    const struct isolation *isolation = isolation_by_uid();
    python_host_start();
    say_to_host("ready");
    await_start(&start);
    hold_session(&start, isolation, false);
}

static void serve_grader(void) {
    struct frame start;
    begin_in_container();
    const struct isolation *isolation = isolation_by_container();
    say_to_host("ready");
    await_start(&start);
    hold_session(&start, isolation, true);
}

static void serve_learner(void) {
    struct frame start;
    begin_in_container();
    const struct isolation *isolation = isolation_by_container();
    say_to_host("ready");
    await_start(&start);
    serve_runs(&start, isolation);
}

static void serve_boxes(void) {
    begin();
    say_to_host("ready");
    bool clean = hold_session_in_boxes();
    /* Our end tells the host that nothing is left. */
    if (!await_remains_of_boxes(now() + REMAINS_S) || !clean)
        give_up("a box does not go away");
}

int main(int count, char **arguments) {
    const char *mode = count > 1 ? arguments[1] : "";
    const char *python = count > 2 ? arguments[2] : "/usr/bin/python3";
    if (mode[0] != '-')
        return obey_command(count - 1, arguments + 1);
    if (strcmp(mode, "--container") == 0)
        serve_container();
    else if (strcmp(mode, "--boxes") == 0)
        serve_boxes();
    else if (strcmp(mode, "--slot") == 0)
        serve_slot();
    else if (strcmp(mode, "--grader") == 0)
        serve_grader();
    else if (strcmp(mode, "--learner") == 0)
        serve_learner();
    else if (strcmp(mode, "--place") == 0)
        first_of_graders_box(python);
    else if (strcmp(mode, "--box") == 0)
        first_of_learners_box(python);
    else
        give_up("there is no mode %s", mode);
    return 0;
}
