/* Forking and becoming another program, with the reason told when that does not work. */
#include "start.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "layout.h"

#define FIRST_FREE_FD 100
/* With this limit the kernel writes no file, and starts no program that is to take the core either;
 * with 0 it starts that (core_pattern, core(5); fs/coredump.c). */
#define NO_CORE_BYTES 1

char *const GRADER_ENV[] = {
    "PATH=/usr/local/bin:/usr/bin:/bin:/xq",
    "LANG=C.UTF-8",
    "HOME=" SCRATCH_DIR,
    "TMPDIR=" SCRATCH_DIR,
    "PYTHONPATH=" LIBRARY_DIR ":/xq/lib",
    "PYTHONDONTWRITEBYTECODE=1",
    NULL,
};

static const char *const KIND_WORDS[] = {"", "missing", "bad-arguments", "no-space", "failed",
                                         "in-python"};
static const char *const PROGRAM_DIRS[] = {"/usr/local/bin", "/usr/bin", "/bin"};

static int report_fd = -1;

enum start_kind failure_kind(int error) {
    switch (error) {
    case ENOSPC:
    case EFBIG:
    case EDQUOT:
        return START_NO_SPACE;
    case ENOENT:
    case EACCES:
    case EPERM:
    case ENOTDIR:
    case ENOEXEC:
    case ENAMETOOLONG:
    case ELOOP:
        return START_MISSING;
    case E2BIG:
        return START_BAD_ARGUMENTS;
    default:
        return START_FAILED;
    }
}

void write_failure(int fd, enum start_kind kind, const char *detail) {
    dprintf(fd, "%s:%.400s", KIND_WORDS[kind], detail);
}

void report_failures_to(int fd) { report_fd = fd; }

void not_become(enum start_kind kind, const char *detail) {
    write_failure(report_fd, kind, detail);
    _exit(127);
}

void not_become_errno(const char *what) {
    char detail[MESSAGE_BYTES];
    int error = errno;
    snprintf(detail, sizeof detail, "%s: %s", what, strerror(error));
    not_become(failure_kind(error), detail);
}

/* A step of ours did not work, whatever its error would mean for a step of the program's. */
static noreturn void fail_step(const char *what) {
    char detail[MESSAGE_BYTES];
    snprintf(detail, sizeof detail, "%s: %s", what, strerror(errno));
    not_become(START_FAILED, detail);
}

void failure_from_text(struct failure *failure, const char *text) {
    const char *colon = strchr(text, ':');
    size_t length = colon != NULL ? (size_t)(colon - text) : strlen(text);
    failure->kind = *text == '\0' ? START_FINE : START_FAILED;
    for (int kind = START_MISSING; kind <= START_IN_PYTHON; kind++)
        if (strlen(KIND_WORDS[kind]) == length && strncmp(text, KIND_WORDS[kind], length) == 0)
            failure->kind = kind;
    snprintf(failure->detail, sizeof failure->detail, "%s", colon != NULL ? colon + 1 : text);
}

void read_failure(int fd, struct failure *failure) {
    char text[MESSAGE_BYTES];
    size_t size = 0;
    while (size < sizeof text - 1) {
        ssize_t got = read(fd, text + size, sizeof text - 1 - size);
        if (got > 0)
            size += (size_t)got;
        else if (got == 0 || errno != EINTR)
            break;
    }
    close(fd);
    text[size] = '\0';
    failure_from_text(failure, text);
}

static pid_t fork_with_report(become_call *become, void *context, bool must_exec,
                              struct failure *failure) {
    int read_fd, write_fd;
    make_pipe(&read_fd, &write_fd);
    pid_t pid = fork();
    if (pid == 0) {
        report_fd = write_fd;
        watch_restore_signals();
        setsid();
        become(context);
        if (must_exec)
            not_become(START_FAILED, "nothing was executed");
        _exit(0);
    }
    int error = errno;
    close(write_fd);
    if (pid < 0) {
        close(read_fd);
        failure->kind = START_FAILED;
        snprintf(failure->detail, sizeof failure->detail, "cannot start a process: %s",
                 strerror(error));
        return -1;
    }
    read_failure(read_fd, failure);
    return failure->kind == START_FINE ? pid : -1;
}

pid_t fork_into(become_call *become, void *context, struct failure *failure) {
    return fork_with_report(become, context, true, failure);
}

bool fork_for(become_call *work, void *context, struct failure *failure) {
    pid_t pid = fork_with_report(work, context, false, failure);
    if (pid < 0)
        return false;
    int status;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    failure->kind = START_FAILED;
    snprintf(failure->detail, sizeof failure->detail, "a helper process ended with status %d",
             shell_code(status));
    return false;
}

void make_pipe(int *read_fd, int *write_fd) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        give_up("no pipe: %s", strerror(errno));
    *read_fd = ends[0];
    *write_fd = ends[1];
}

int must_open(const char *path, int flags) {
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0)
        not_become_errno(path);
    return fd;
}

int keep_descriptor(int fd) {
    int kept = fcntl(fd, F_DUPFD, FIRST_FREE_FD);
    if (kept < 0)
        not_become_errno("a descriptor");
    return kept;
}

void arrange_descriptors(const int *sources, int count) {
    int high[8];
    for (int i = 0; i < count; i++) {
        high[i] = fcntl(sources[i], F_DUPFD_CLOEXEC, FIRST_FREE_FD);
        if (high[i] < 0)
            not_become_errno("a descriptor");
    }
    for (int i = 0; i < count; i++)
        if (dup2(high[i], i) < 0)
            not_become_errno("a descriptor");
    /* All of ours close on exec by themselves. This is for any that we did not open; a kernel
     * without the call is served by the host, which hands down none. */
    syscall(SYS_close_range, (unsigned)count, FIRST_FREE_FD - 1u, CLOSE_RANGE_CLOEXEC);
}

void set_limit(int which, uint64_t value) {
    struct rlimit limit;
    if (getrlimit(which, &limit) < 0)
        fail_step("getrlimit");
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < value)
        value = limit.rlim_max;
    limit = (struct rlimit){value, value};
    if (setrlimit(which, &limit) < 0)
        fail_step("setrlimit");
}

/* Per process; the whole of them is bounded by a cgroup where there is one. */
void apply_learner_limits(const struct bounds *bounds) {
    set_limit(RLIMIT_CPU, (uint64_t)ceil(bounds->cpu_s));
    set_limit(RLIMIT_FSIZE, bounds->scratch_bytes);
    set_limit(RLIMIT_NOFILE, OPEN_FILES);
    set_limit(RLIMIT_CORE, NO_CORE_BYTES);
    /* gVisor lets nobody change this one; what its queues hold counts as the container's memory. */
    struct rlimit no_queues = {0, 0};
    if (setrlimit(RLIMIT_MSGQUEUE, &no_queues) < 0 && errno != EPERM)
        fail_step("setrlimit");
    if (bounds->memory_bytes > 0)
        set_limit(RLIMIT_DATA, bounds->memory_bytes);
}

void apply_grader_limits(void) {
    set_limit(RLIMIT_NOFILE, OPEN_FILES);
    set_limit(RLIMIT_CORE, NO_CORE_BYTES);
}

void set_oom_score(int score) {
    char text[16];
    /* The files of an undumpable process are root's. */
    int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    int size = snprintf(text, sizeof text, "%d", score);
    if (fd < 0 || write(fd, text, (size_t)size) != size)
        fail_step("oom_score_adj");
    close(fd);
    prctl(PR_SET_DUMPABLE, dumpable, 0, 0, 0);
}

void become_uid(uid_t uid) {
    umask(077);
    if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
        fail_step("another uid");
}

void become_undumpable(void) { prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

int shell_code(int status) {
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int ended_code(const struct child *child) {
    return child->ended ? shell_code(child->status) : 128 + SIGKILL;
}

const char *program_path(const char *name, char path[MESSAGE_BYTES]) {
    if (strchr(name, '/') != NULL)
        return name;
    for (size_t i = 0; i < sizeof PROGRAM_DIRS / sizeof *PROGRAM_DIRS; i++) {
        int size = snprintf(path, MESSAGE_BYTES, "%s/%s", PROGRAM_DIRS[i], name);
        if (size < MESSAGE_BYTES && access(path, X_OK) == 0)
            return path;
    }
    return name;
}

void exec_program(const char *path, char *const *argv, char *const *env) {
    execve(path, argv, env);
    not_become_errno(path);
}
