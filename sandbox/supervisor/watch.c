/* The poll loop. SIGCHLD is let in only while it waits, so that no child's end is missed. */
#include "watch.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "bytes.h"

#define MOST_DESCRIPTORS 24
/* Longer than any run; keeps the conversion below in range. */
#define LONGEST_WAIT_S 3600.0
#define AT_TIMES_S 0.05

static struct entry {
    struct pollfd poll;
    watch_call *call;
    void *context;
} entries[MOST_DESCRIPTORS];
static size_t entry_count;
static struct child *children;

static void note_child(int number) { (void)number; }

void watch_begin(void) {
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGCHLD);
    sigprocmask(SIG_SETMASK, &blocked, NULL);
    sigaction(SIGCHLD, &(struct sigaction){.sa_handler = note_child}, NULL);
    signal(SIGPIPE, SIG_IGN);
}

void watch_restore_signals(void) {
    sigset_t none;
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static struct entry *find(int fd) {
    for (size_t i = 0; i < entry_count; i++)
        if (entries[i].poll.fd == fd)
            return &entries[i];
    return NULL;
}

void watch_on(int fd, short events, watch_call *call, void *context) {
    struct entry *entry = find(fd);
    if (entry == NULL) {
        if (entry_count == MOST_DESCRIPTORS)
            give_up("too many descriptors to watch");
        entry = &entries[entry_count++];
    }
    *entry = (struct entry){{.fd = fd, .events = events}, call, context};
}

void watch_off(int fd) {
    struct entry *entry = find(fd);
    if (entry != NULL)
        *entry = entries[--entry_count];
}

void watch_child(struct child *child, pid_t pid) {
    *child = (struct child){.pid = pid, .next = children};
    children = child;
}

void watch_forget_child(struct child *child) {
    for (struct child **link = &children; *link != NULL; link = &(*link)->next)
        if (*link == child) {
            *link = child->next;
            return;
        }
}

void watch_reap(void) {
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid <= 0)
            return;
        for (struct child *child = children; child != NULL; child = child->next)
            if (child->pid == pid && !child->ended) {
                child->ended = true;
                child->status = status;
            }
    }
}

bool watch_has_children(void) {
    siginfo_t about;
    return waitid(P_ALL, 0, &about, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static double seconds(struct timeval time) {
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

double watch_children_cpu_s(void) {
    struct rusage used = {0};
    getrusage(RUSAGE_CHILDREN, &used);
    return seconds(used.ru_utime) + seconds(used.ru_stime);
}

void watch_step(double until) {
    struct pollfd polled[MOST_DESCRIPTORS];
    size_t count = entry_count;
    for (size_t i = 0; i < count; i++)
        polled[i] = entries[i].poll;
    double left = fmin(fmax(until - now(), 0), LONGEST_WAIT_S);
    struct timespec wait = {(time_t)left, (long)((left - floor(left)) * 1e9)};
    sigset_t none;
    sigemptyset(&none);
    watch_reap();
    int ready = ppoll(polled, count, &wait, &none);
    if (ready < 0 && errno != EINTR)
        give_up("poll failed");
    for (size_t i = 0; ready > 0 && i < count; i++) {
        /* An earlier call may have taken this one away. */
        struct entry *entry = polled[i].revents ? find(polled[i].fd) : NULL;
        if (entry != NULL)
            entry->call(entry->context);
    }
    watch_reap();
}

bool watch_until(watch_condition *holds, void *context, double until) {
    watch_reap();
    while (!holds(context)) {
        if (now() >= until)
            return false;
        watch_step(until);
    }
    return true;
}

bool watch_at_times(watch_condition *holds, void *context, double until) {
    watch_reap();
    while (!holds(context)) {
        if (now() >= until)
            return false;
        watch_step(fmin(until, now() + AT_TIMES_S));
    }
    return true;
}

double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}
