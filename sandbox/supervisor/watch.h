/* One poll loop for descriptors, ended children and deadlines.
 *
 * Single-threaded on purpose: the supervisor forks, and forking with threads is a trap.
 */
#ifndef XQ_WATCH_H
#define XQ_WATCH_H

#include <poll.h>
#include <stdbool.h>
#include <sys/types.h>

#define READABLE (POLLIN | POLLHUP | POLLERR)
#define WRITABLE (POLLOUT | POLLERR)

typedef void watch_call(void *context);
typedef bool watch_condition(void *context);

/* A child whose end matters. Others are reaped and forgotten, which as PID 1 includes orphans. */
struct child {
    pid_t pid;
    bool ended;
    int status;
    struct child *next;
};

void watch_begin(void);
/* Undo in a forked child what `watch_begin` did to its signals. */
void watch_restore_signals(void);
void watch_on(int fd, short events, watch_call *call, void *context);
void watch_off(int fd);
void watch_child(struct child *child, pid_t pid);
void watch_forget_child(struct child *child);

/* Collects every ended child. */
void watch_reap(void);
bool watch_has_children(void);
/* Processor time of all children collected so far, and of those they collected. */
double watch_children_cpu_s(void);
/* Waits for the next events, at most until that monotonic time, and handles them. */
void watch_step(double until);
/* Handles events until the condition holds; false when the time came first. */
bool watch_until(watch_condition *holds, void *context, double until);
/* The same for a condition that no event tells of. */
bool watch_at_times(watch_condition *holds, void *context, double until);

/* Monotonic seconds. */
double now(void);

#endif
