/* Asks the pre-started Python for forks.
 *
 * It forks twice, so that its grandchild becomes a child of PID 1: we then see its end ourselves.
 * The grandchild tells its pid, still as trusted code, on a pipe that it closes when it begins.
 */
#include "python_host.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "layout.h"

/* It forks in a few milliseconds, but may still be starting, on a host that is overloaded. */
#define PATIENCE_S 20.0
/* Larger arguments go the common way, where the kernel may refuse them. */
#define MOST_ARGUMENT_BYTES 65536
/* Imported, it need not be compiled at the start of each container. */
#define BEGIN_HOST                                                                                 \
    "import sys; sys.path.insert(0, '" PYTHON_HOST_DIR "'); sys.dont_write_bytecode = True; "      \
    "import host; host.main()"

static struct child host;
static int orders_fd = -1;

static void become_host(void *context) {
    char found[MESSAGE_BYTES];
    const char *python = program_path("python3", found);
    /* Pipes, as its programs will have: Python remembers of its streams whether they can seek. */
    int read_fd, write_fd, *order_fd = context;
    make_pipe(&read_fd, &write_fd);
    arrange_descriptors((int[]){read_fd, write_fd, STDERR_FILENO, *order_fd}, 4);
    exec_program(python, (char *[]){(char *)python, "-I", "-c", BEGIN_HOST, NULL},
                 (char *[]){NULL});
}

void python_host_start(void) {
    int ends[2];
    struct failure failure;
    if (access(PYTHON_HOST_DIR "/host.py", R_OK) < 0)
        return;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        give_up("no socket: %s", strerror(errno));
    pid_t pid = fork_into(become_host, &ends[1], &failure);
    close(ends[1]);
    if (pid < 0) {
        /* An image without Python has no use for it. */
        close(ends[0]);
        return;
    }
    orders_fd = ends[0];
    watch_child(&host, pid);
}

bool python_host_runs(void) { return orders_fd >= 0; }

bool python_host_can_run(const struct program *program) {
    size_t size = 0;
    if (!program->zygote || !python_host_runs() || program->unspeakable ||
        program->env[0] != NULL || program->argument_count < 3)
        return false;
    for (size_t i = 0; i < program->argument_count; i++)
        size += strlen(program->argv[i]) + 1;
    return size <= MOST_ARGUMENT_BYTES && strcmp(program->argv[0], "python3") == 0 &&
           strcmp(program->argv[1], "-I") == 0 && program->argv[2][0] != '-';
}

static bool send_order(const struct bytes *order, const int *fds, size_t count) {
    union {
        char space[CMSG_SPACE(8 * sizeof(int))];
        struct cmsghdr aligned;
    } control = {0};
    struct iovec part = {order->data, order->size};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.space,
                             .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(header), fds, count * sizeof(int));
    return sendmsg(orders_fd, &message, MSG_NOSIGNAL) == (ssize_t)order->size;
}

/* Everything until the other ends are closed; false when that takes too long. Children are not
 * reaped meanwhile: the one we wait for must not be forgotten before we know its number. */
static bool read_answer(int fd, char *text, size_t room) {
    double until = now() + PATIENCE_S;
    size_t size = 0;
    for (;;) {
        struct pollfd polled = {.fd = fd, .events = POLLIN};
        int left_ms = (int)((until - now()) * 1000);
        if (left_ms <= 0)
            return false;
        int ready = poll(&polled, 1, left_ms);
        ssize_t got = ready > 0 ? read(fd, text + size, room - 1 - size) : -1;
        if (got > 0)
            size += (size_t)got;
        text[size] = '\0';
        if (got == 0 || size == room - 1)
            return true;
    }
}

static pid_t ask(const struct bytes *order, const int *fds, size_t count,
                 struct failure *failure) {
    int report_fd, report_write_fd, sent[8];
    char answer[MESSAGE_BYTES] = "", *rest;
    make_pipe(&report_fd, &report_write_fd);
    sent[0] = report_write_fd;
    memcpy(sent + 1, fds, count * sizeof *fds);
    bool answered = send_order(order, sent, count + 1);
    close(report_write_fd);
    answered = answered && read_answer(report_fd, answer, sizeof answer);
    close(report_fd);
    long pid = strtol(answer, &rest, 10);
    if (!answered || pid <= 1 || *rest != '\n') {
        failure->kind = START_FAILED;
        snprintf(failure->detail, sizeof failure->detail,
                 "the pre-started Python does not answer: %.100s", answer);
        return -1;
    }
    failure_from_text(failure, rest + 1);
    return failure->kind == START_FINE ? (pid_t)pid : -1;
}

pid_t python_host_start_grader(const struct grader *grader, struct failure *failure) {
    struct bytes order = {0};
    bytes_format(&order, "grader %d %d %d", GRADER_UID, GRADER_OOM_SCORE, OPEN_FILES);
    for (char *const *variable = GRADER_ENV; *variable != NULL; variable++) {
        bytes_add(&order, "", 1);
        bytes_add_text(&order, *variable);
    }
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int fds[] = {null_fd, grader->log_fd, grader->log_fd, grader->channel_fd};
    pid_t pid = ask(&order, fds, 4, failure);
    close(null_fd);
    bytes_free(&order);
    return pid;
}

pid_t python_host_start_learner(const struct program *program, const int stdio[3], uid_t uid,
                                struct failure *failure) {
    const struct bounds *bounds = &program->bounds;
    struct bytes order = {0};
    bytes_format(&order, "learner %u %d %d %.0f %lu %lu %lu", (unsigned)uid, LEARNER_OOM_SCORE,
                 OPEN_FILES, ceil(bounds->cpu_s), (unsigned long)bounds->scratch_bytes,
                 (unsigned long)bounds->pids, (unsigned long)bounds->memory_bytes);
    for (size_t i = 2; i < program->argument_count; i++) {
        bytes_add(&order, "", 1);
        bytes_add_text(&order, program->argv[i]);
    }
    pid_t pid = ask(&order, stdio, 3, failure);
    bytes_free(&order);
    return pid;
}
