/* Everything in our pid namespace but us is the one program: no root, no uids to tell apart.
 *
 * The two containers of a split run work so, and the inside of a learner's box.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "by_container.h"
#include "files.h"
#include "layout.h"

bool clear_container(double until) {
    for (;;) {
        /* From PID 1 this reaches all others, and a fork in progress does not escape it. */
        kill(-1, SIGKILL);
        watch_reap();
        if (!watch_has_children())
            return true;
        if (now() > until)
            return false;
        watch_step(until);
    }
}

static void become_grader(void *context) {
    const struct grader *grader = context;
    int null_fd = must_open("/dev/null", O_RDONLY);
    arrange_descriptors((int[]){null_fd, grader->log_fd, grader->log_fd, grader->channel_fd}, 4);
    apply_grader_limits();
    umask(077);
    place_grader_files(GRADE_DIR, grader->json, grader->files);
    become_placed_grader(grader, NULL);
}

static bool start_grader(struct cell *cell, const struct grader *grader, struct failure *failure) {
    cell->kills_before = memory_kills(CONTAINER_OOM_COUNTERS);
    pid_t pid = fork_into(become_grader, (void *)grader, failure);
    if (pid >= 0)
        watch_child(&cell->child, pid);
    return pid >= 0;
}

static bool start_learner(struct cell *cell, const struct program *program, const int stdio[3],
                          struct failure *failure) {
    /* One process of this uid is ours. */
    struct learner_start start = {.program = program,
                                  .stdio = stdio,
                                  .processes = program->bounds.pids + 1,
                                  .oom_score = LEARNER_OOM_SCORE};
    cell->is_learners = true;
    cell->kills_before = memory_kills(CONTAINER_OOM_COUNTERS);
    pid_t pid = fork_into(become_learner, &start, failure);
    if (pid >= 0)
        watch_child(&cell->child, pid);
    return pid >= 0;
}

static bool has_ended(const struct cell *cell) { return cell->child.ended; }
static const struct child *process(const struct cell *cell) { return &cell->child; }

static bool end(struct cell *cell, double until, struct failure *failure) {
    if (cell->over)
        return true;
    if (!clear_container(until)) {
        failure->kind = START_FAILED;
        snprintf(failure->detail, sizeof failure->detail,
                 "a program and its children could not be killed");
        return false;
    }
    cell->over = true;
    cell->code = shell_code(cell->child.status);
    watch_forget_child(&cell->child);
    return true;
}

static bool killed_for_memory(const struct cell *cell) {
    return memory_kills(CONTAINER_OOM_COUNTERS) > cell->kills_before;
}

bool collect_from_here(const struct program *program, int fd, struct failure *failure) {
    pid_t pid = fork();
    if (pid == 0) {
        watch_restore_signals();
        if (chdir(BOX_DIR) == 0)
            send_collected(program, fd);
        _exit(0);
    }
    failure->kind = pid < 0 ? START_FAILED : START_FINE;
    if (pid < 0)
        snprintf(failure->detail, sizeof failure->detail, "cannot start a process");
    return pid >= 0;
}

const struct isolation *isolation_by_container(void) {
    static const struct isolation by_container = {.answers_no_space = true,
                                                  .start_grader = start_grader,
                                                  .start_learner = start_learner,
                                                  .has_ended = has_ended,
                                                  .process = process,
                                                  .end = end,
                                                  .killed_for_memory = killed_for_memory,
                                                  .collect = collect_from_here};
    /* Anywhere else it would kill whatever our user runs. */
    if (getpid() != 1)
        give_up("this mode is for the first process of a container or box");
    become_undumpable();
    return &by_container;
}
