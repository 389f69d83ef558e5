/* Everything in our pid namespace but us is the one program: no root, no uids to tell apart.
 *
 * The two containers of a split run work so, and the inside of a learner's box.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include "by_container.h"
#include "dying.h"
#include "files.h"
#include "layout.h"
#include "memory.h"

static bool some_are_dying;

static bool strike_all(void *context) {
    (void)context;
    /* From PID 1 this reaches all others, and a fork in progress does not escape it. */
    kill(-1, SIGKILL);
    return true;
}

static bool is_alone(void *context) {
    (void)context;
    return !watch_has_children();
}

static bool all_others_are_dying(void *context) {
    (void)context;
    return all_are_dying(ANY_UID);
}

bool clear_container(double until) {
    enum left left = see_off(strike_all, is_alone, all_others_are_dying, NULL, until);
    some_are_dying = left == LEFT_DYING;
    return left != LEFT_ALIVE;
}

/* -- System V objects, which outlive those who made them --------------------------------------- */

/* gVisor counts its numbers up from one, and cannot be asked which are in use. */
#define MOST_IPC_NUMBER (1 << 20)

/* All of a kind: `used` of them, the next of which would have the number `next`, or -1. */
static void forget_numbers(int used, int next, int (*forget)(int number)) {
    for (int number = next >= 0 ? next : MOST_IPC_NUMBER; used > 0 && number >= 0; number--)
        if (forget(number) == 0)
            used--;
}

static int forget_memory(int number) { return shmctl(number, IPC_RMID, NULL); }
static int forget_queue(int number) { return msgctl(number, IPC_RMID, NULL); }

/* Where the kernel's settings allow none there are none; gVisor has no such settings. */
static void forget_ipc(void) {
    union {
        struct seminfo *all;
        struct semid_ds *about;
    } argument;
    struct seminfo semaphores;
    struct semid_ds about;
    struct shm_info shared = {0};
    struct msginfo queues = {0};
    argument.all = &semaphores;
    int last = semctl(0, 0, SEM_INFO, argument);
    argument.about = &about;
    for (int at = 0; at <= last; at++)
        semctl(semctl(at, 0, SEM_STAT, argument), 0, IPC_RMID);
    if (shmctl(0, SHM_INFO, (struct shmid_ds *)&shared) >= 0 && shared.used_ids > 0)
        forget_numbers(shared.used_ids + 1, shmget(IPC_PRIVATE, 1, 0600), forget_memory);
    if (msgctl(0, MSG_INFO, (struct msqid_ds *)&queues) >= 0 && queues.msgpool > 0)
        forget_numbers(queues.msgpool + 1, msgget(IPC_PRIVATE, 0600), forget_queue);
}

/* -- programs ---------------------------------------------------------------------------------- */

/* The dying count as processes of our uid, and hold memory. */
static enum made_room make_room(const struct program *program, double until,
                                struct failure *failure) {
    (void)program;
    (void)failure;
    return !some_are_dying || watch_until(is_alone, NULL, until) ? ROOM : ROOM_TOO_LATE;
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
    cell->kills_before = memory_kills(CONTAINER_COUNTERS);
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
    cell->kills_before = memory_kills(CONTAINER_COUNTERS);
    cell->cpu_before_s = watch_children_cpu_s();
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
    forget_ipc();
    cell->over = true;
    cell->code = ended_code(&cell->child);
    cell->cpu_s = watch_children_cpu_s() - cell->cpu_before_s;
    watch_forget_child(&cell->child);
    return true;
}

static bool killed_for_memory(const struct cell *cell) {
    return memory_kills(CONTAINER_COUNTERS) > cell->kills_before;
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
                                                  .make_room = make_room,
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
