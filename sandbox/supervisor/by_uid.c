/* Keeps grader and learner apart by uid, inside one container whose PID 1 we are.
 *
 * PID 1 is root with SETUID, SETGID and KILL only: it cannot even open the learner's files. All
 * that is done below a learner's folder is done by a child that has already become the learner.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dying.h"
#include "files.h"
#include "isolation.h"
#include "layout.h"
#include "memory.h"
#include "python_host.h"

static uid_t learner_uid;
/* The kernel still frees what an earlier program held. */
static bool some_are_dying;

/* -- the killer -------------------------------------------------------------------------------- */

/* A process forked before any learner's code runs, to kill everything of the learner's uid. With a
 * fork bomb at work our own fork would fail. It acts with the learner's *effective* uid only, so
 * that the learner can neither signal nor trace it, and is root again at once. */
static int killer_order_fd, killer_answer_fd;

static noreturn void obey(int order_fd, int answer_fd) {
    char order;
    while (read_exactly(order_fd, &order, 1)) {
        if (setresuid(0, learner_uid, 0) < 0)
            break;
        /* Else those that are dying would leave us little of the processor. */
        setpriority(PRIO_USER, learner_uid, 19);
        kill(-1, SIGKILL);
        if (setresuid(0, 0, 0) < 0 || !write_all(answer_fd, &order, 1))
            break;
    }
    _exit(1);
}

static void fork_killer(void) {
    int order_fd, answer_fd;
    make_pipe(&order_fd, &killer_order_fd);
    make_pipe(&killer_answer_fd, &answer_fd);
    pid_t pid = fork();
    if (pid < 0)
        give_up("cannot start a process: %s", strerror(errno));
    if (pid == 0) {
        watch_restore_signals();
        /* It has no business with the host, and none with our ends of its pipes. */
        close(STDIN_FILENO);
        close(STDOUT_FILENO);
        close(killer_order_fd);
        close(killer_answer_fd);
        obey(order_fd, answer_fd);
    }
    close(order_fd);
    close(answer_fd);
}

/* Sends SIGKILL to every process of the uid; false when the killer is gone. */
static bool fire(void) {
    char order = 'k';
    return write_all(killer_order_fd, &order, 1) && read_exactly(killer_answer_fd, &order, 1);
}

/* -- starting ---------------------------------------------------------------------------------- */

static void become_grader(void *context) {
    const struct grader *grader = context;
    set_oom_score(GRADER_OOM_SCORE);
    int null_fd = must_open("/dev/null", O_RDONLY);
    arrange_descriptors((int[]){null_fd, grader->log_fd, grader->log_fd, grader->channel_fd}, 4);
    apply_grader_limits();
    become_uid(GRADER_UID);
    place_grader_files(GRADE_DIR, grader->json, grader->files);
    if (python_host_runs() && grader_is_python())
        not_become(START_IN_PYTHON, "");
    become_placed_grader(grader, NULL);
}

static bool start_grader(struct cell *cell, const struct grader *grader, struct failure *failure) {
    struct stat about;
    if (stat(GRADE_DIR, &about) < 0 || about.st_uid != GRADER_UID || about.st_mode & 077) {
        failure->kind = START_MISSING;
        snprintf(failure->detail, sizeof failure->detail,
                 GRADE_DIR " must belong to uid %d with mode 0700", GRADER_UID);
        return false;
    }
    cell->kills_before = memory_kills(CONTAINER_COUNTERS);
    pid_t pid = fork_into(become_grader, (void *)grader, failure);
    if (pid < 0 && failure->kind == START_IN_PYTHON)
        pid = python_host_start_grader(grader, failure);
    if (pid < 0)
        return false;
    watch_child(&cell->child, pid);
    return true;
}

/* The child that places the files has the learner's uid, and nobody else does; were somebody left
 * who kills it, that is the learner's doing. */
static bool placed(struct learner_start *start, struct failure *failure) {
    if (fork_for(become_learner, start, failure))
        return true;
    return failure->kind == START_FAILED && fire() && fork_for(become_learner, start, failure);
}

static bool start_learner(struct cell *cell, const struct program *program, const int stdio[3],
                          struct failure *failure) {
    struct learner_start start = {.program = program,
                                  .stdio = stdio,
                                  .uid = learner_uid,
                                  .processes = program->bounds.pids,
                                  .oom_score = LEARNER_OOM_SCORE};
    pid_t pid;
    cell->is_learners = true;
    cell->kills_before = memory_kills(CONTAINER_COUNTERS);
    cell->cpu_before_s = watch_children_cpu_s();
    if (python_host_can_run(program)) {
        start.only_place = true;
        pid = placed(&start, failure)
                  ? python_host_start_learner(program, stdio, learner_uid, failure)
                  : -1;
    } else {
        pid = fork_into(become_learner, &start, failure);
    }
    if (pid < 0)
        return false;
    watch_child(&cell->child, pid);
    return true;
}

static bool has_ended(const struct cell *cell) { return cell->child.ended; }
static const struct child *process(const struct cell *cell) { return &cell->child; }

/* A list of /proc misses who forks and ends while it is read. One signal to all of a uid misses
 * nobody, and no fork of a process that has it pending succeeds: without it no list counts. What the
 * grader leaves behind dies with PID 1 at the end of the run. */
static bool strike(void *context) {
    const struct cell *cell = context;
    /* By pid as well: a child that has not become the learner yet is out of the killer's reach. */
    if (!cell->child.ended)
        kill(cell->child.pid, SIGKILL);
    return !cell->is_learners || fire();
}

static bool is_over(void *context) {
    const struct cell *cell = context;
    return cell->child.ended && (!cell->is_learners || nobody_lives_as(learner_uid));
}

static bool is_dying(void *context) {
    const struct cell *cell = context;
    return cell->is_learners ? all_are_dying(learner_uid) : process_is_dying(cell->child.pid);
}

static bool end(struct cell *cell, double until, struct failure *failure) {
    if (cell->over)
        return true;
    watch_reap();
    enum left left = see_off(strike, is_over, is_dying, cell, until);
    if (left == LEFT_ALIVE) {
        failure->kind = START_FAILED;
        snprintf(failure->detail, sizeof failure->detail,
                 "a program and its children could not be killed");
        return false;
    }
    some_are_dying = left == LEFT_DYING;
    cell->over = true;
    cell->code = ended_code(&cell->child);
    cell->cpu_s = watch_children_cpu_s() - cell->cpu_before_s;
    watch_forget_child(&cell->child);
    return true;
}

static bool nobody_is_left(void *context) {
    (void)context;
    return nobody_lives_as(learner_uid);
}

/* The dying count as processes of the uid, and hold memory. */
static enum made_room make_room(const struct program *program, double until,
                                struct failure *failure) {
    (void)program;
    (void)failure;
    if (some_are_dying && !watch_at_times(nobody_is_left, NULL, until))
        return ROOM_TOO_LATE;
    some_are_dying = false;
    return ROOM;
}

static bool killed_for_memory(const struct cell *cell) {
    return memory_kills(CONTAINER_COUNTERS) > cell->kills_before;
}

static bool collect(const struct program *program, int fd, struct failure *failure) {
    pid_t pid = fork();
    if (pid == 0) {
        watch_restore_signals();
        become_uid(learner_uid);
        if (chdir(BOX_DIR) == 0)
            send_collected(program, fd);
        _exit(0);
    }
    failure->kind = pid < 0 ? START_FAILED : START_FINE;
    if (pid < 0)
        snprintf(failure->detail, sizeof failure->detail, "cannot start a process");
    return pid >= 0;
}

const struct isolation *isolation_by_uid(void) {
    static const struct isolation by_uid = {.memory_is_shared = true,
                                            .start_grader = start_grader,
                                            .make_room = make_room,
                                            .start_learner = start_learner,
                                            .has_ended = has_ended,
                                            .process = process,
                                            .end = end,
                                            .killed_for_memory = killed_for_memory,
                                            .collect = collect};
    struct stat about;
    /* The host gave /box to a uid that no other container uses; that is how we learn it. */
    if (stat(BOX_DIR, &about) < 0 || about.st_uid == 0 || about.st_uid == GRADER_UID)
        give_up(BOX_DIR " must belong to the learner's uid");
    learner_uid = about.st_uid;
    fork_killer();
    return &by_uid;
}
