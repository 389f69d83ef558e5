/* What all ways of starting a program share: descriptors, limits, signals of a forked child. */
#ifndef XQ_START_H
#define XQ_START_H

#include <sys/resource.h>
#include <sys/types.h>

#include "program.h"
#include "watch.h"

#define GRADER_OOM_SCORE 300
/* The learner's processes are the first the kernel kills when memory runs out. */
#define LEARNER_OOM_SCORE 1000
#define OPEN_FILES 256

/* Whose fault it is that a program could not become what it should. */
enum start_kind {
    START_FINE,
    START_MISSING,       /* no such program, or one the kernel cannot execute */
    START_BAD_ARGUMENTS, /* arguments no program can be given */
    START_NO_SPACE,      /* its files do not fit */
    START_FAILED,        /* our own steps did not work */
    START_IN_PYTHON,     /* no failure: the pre-started Python is to carry on */
};

struct failure {
    enum start_kind kind;
    char detail[MESSAGE_BYTES];
};

typedef void become_call(void *context);

/* Forks a child that runs `become`, which must exec. Its pid once it has, or -1 and why not; the
 * child is gone then. */
pid_t fork_into(become_call *become, void *context, struct failure *failure);
/* Forks a child that runs `work` and ends. False and why when it did not succeed. */
bool fork_for(become_call *work, void *context, struct failure *failure);

/* In a forked child: say why and end. The second takes the kind from `errno`. */
noreturn void not_become(enum start_kind kind, const char *detail);
noreturn void not_become_errno(const char *what);

/* For a process that has no parent of ours: where the two above tell it. */
void report_failures_to(int fd);

/* Where reports of failed starts go: other ends of such a pipe use these. */
void write_failure(int fd, enum start_kind kind, const char *detail);
/* Waits until the other ends are closed, which an exec does; what came is a failure. */
void read_failure(int fd, struct failure *failure);
void failure_from_text(struct failure *failure, const char *text);
enum start_kind failure_kind(int error);

/* In a child: makes `sources[i]` descriptor i, and closes every other one on exec but `kept`. */
void arrange_descriptors(const int *sources, int count);
/* In a child, before it arranges: a copy out of the way that an exec leaves open. */
int keep_descriptor(int fd);
int must_open(const char *path, int flags);
/* A pipe that an exec closes; gives up without one. */
void make_pipe(int *read_fd, int *write_fd);

void set_limit(int which, uint64_t value);
void apply_learner_limits(const struct bounds *bounds);
void apply_grader_limits(void);
void set_oom_score(int score);
void become_uid(uid_t uid);
/* No process of another's making may look into ours. */
void become_undumpable(void);

/* A wait status as a shell shows it: 0-255, 128 + signal. */
int shell_code(int status);
/* The same of a child that was killed, which it may still be dying of. */
int ended_code(const struct child *child);
/* The program as exec takes it; an empty PATH means these folders. `python` may be NULL. */
const char *program_path(const char *name, char path[MESSAGE_BYTES]);
/* exec, or why not. */
noreturn void exec_program(const char *path, char *const *argv, char *const *env);

extern char *const GRADER_ENV[];

#endif
