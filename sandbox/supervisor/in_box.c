/* The first processes of bubblewrap boxes.
 *
 * A learner's box outlives the program in it, so that a run may keep the folder of the run before.
 * Its first process has the learner's uid, but nobody in its namespaces can signal it (it is their
 * PID 1) or look into it (it is undumpable).
 */
#include "in_box.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "by_container.h"
#include "files.h"
#include "layout.h"

static void read_to_end(int fd, struct bytes *into) {
    static char data[65536];
    for (;;) {
        ssize_t got = read(fd, data, sizeof data);
        if (got > 0)
            bytes_add(into, data, (size_t)got);
        else if (got == 0 || errno != EINTR)
            break;
    }
    bytes_add(into, "", 1);
    into->size--;
}

static void become_nobodys_child(int keep) {
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd < keep; fd++)
        dup2(null_fd, fd);
}

/* -- the grader's box -------------------------------------------------------------------------- */

static void place_and_become(void *context) {
    const char *python = context;
    struct bytes text = {0};
    struct json json;
    read_to_end(STDIN_FILENO, &text);
    become_nobodys_child(1);
    if (json_parse(&json, text.data, text.size) != NULL)
        not_become(START_FAILED, "the grader's files are not JSON");
    struct grader grader = {.json = &json,
                            .files = json_member(&json, 0, "files"),
                            .job = json_member(&json, 0, "job")};
    umask(077);
    place_grader_files(GRADE_DIR, &json, grader.files);
    become_placed_grader(&grader, python);
}

void first_of_graders_box(const char *python) {
    fcntl(REPORT_FD, F_SETFD, FD_CLOEXEC);
    report_failures_to(REPORT_FD);
    place_and_become((void *)python);
    not_become(START_FAILED, "nothing was executed");
}

/* -- the learner's box ------------------------------------------------------------------------- */

static struct child program_child;
static bool program_runs;
static double cpu_before_s;
static const char *box_python;

static void tell_end(int code, double cpu_s) {
    char text[END_BYTES];
    int size = snprintf(text, sizeof text, "%d %.3f", code, cpu_s);
    send(ORDERS_FD, text, (size_t)size, MSG_NOSIGNAL);
}

static bool read_program(int frame_fd, const struct order *order, struct program *program,
                         struct bytes *text, struct json *json) {
    read_to_end(frame_fd, text);
    return json_parse(json, text->data, text->size) == NULL &&
           program_read(program, json, &order->limits) == NULL;
}

static void run(const struct order *order, const int *fds) {
    static struct program program;
    struct bytes text = {0};
    struct json json = {0};
    struct failure failure = {.kind = START_FAILED, .detail = "an order that is not understood"};
    struct learner_start start = {.program = &program,
                                  .stdio = fds + ORDER_STDIO_FD,
                                  .processes = order->processes,
                                  .address_space = order->address_space,
                                  .python = box_python};
    umask(077);
    if (read_program(fds[ORDER_FRAME_FD], order, &program, &text, &json)) {
        cpu_before_s = watch_children_cpu_s();
        pid_t pid = fork_into(become_learner, &start, &failure);
        program_runs = pid >= 0;
        if (program_runs)
            watch_child(&program_child, pid);
    }
    if (!program_runs)
        write_failure(fds[ORDER_REPORT_FD], failure.kind, failure.detail);
    program_free(&program);
    json_free(&json);
    bytes_free(&text);
}

static void collect(const struct order *order, const int *fds) {
    static struct program program;
    struct bytes text = {0};
    struct json json = {0};
    struct failure failure;
    if (read_program(fds[ORDER_FRAME_FD], order, &program, &text, &json))
        collect_from_here(&program, fds[ORDER_REPORT_FD], &failure);
    program_free(&program);
    json_free(&json);
    bytes_free(&text);
}

/* The number of descriptors received, -1 when nobody will order anything any more. */
static int receive_order(struct order *order, int *fds) {
    union {
        char space[CMSG_SPACE(ORDER_FDS * sizeof(int))];
        struct cmsghdr aligned;
    } control;
    struct iovec part = {order, sizeof *order};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.space,
                             .msg_controllen = sizeof control.space};
    if (recvmsg(ORDERS_FD, &message, MSG_CMSG_CLOEXEC) != (ssize_t)sizeof *order)
        return -1;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header == NULL)
        return 0;
    size_t size = header->cmsg_len - CMSG_LEN(0);
    memcpy(fds, CMSG_DATA(header), size);
    return (int)(size / sizeof(int));
}

static void obey(void *context) {
    (void)context;
    struct order order;
    int fds[ORDER_FDS], count = receive_order(&order, fds);
    if (count < 0)
        _exit(0);
    if (order.kind == ORDER_RUN && count == ORDER_FDS && !program_runs)
        run(&order, fds);
    else if (order.kind == ORDER_COLLECT && count >= ORDER_STDIO_FD)
        collect(&order, fds);
    else if (order.kind == ORDER_KILL)
        kill(-1, SIGKILL); /* its end is told like any other */
    for (int i = 0; i < count; i++)
        close(fds[i]);
}

void first_of_learners_box(const char *python) {
    box_python = python;
    fcntl(ORDERS_FD, F_SETFD, FD_CLOEXEC);
    syscall(SYS_close_range, ORDERS_FD + 1u, ~0u, CLOSE_RANGE_CLOEXEC);
    become_nobodys_child(ORDERS_FD);
    isolation_by_container();
    watch_begin();
    watch_on(ORDERS_FD, READABLE, obey, NULL);
    for (;;) {
        watch_step(INFINITY);
        if (program_runs && program_child.ended) {
            watch_forget_child(&program_child);
            /* No process of a program outlives it, however it ended. */
            if (!clear_container(now() + 60))
                _exit(1);
            program_runs = false;
            tell_end(shell_code(program_child.status), watch_children_cpu_s() - cpu_before_s);
        }
    }
}
