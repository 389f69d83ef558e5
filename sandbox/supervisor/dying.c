/* Reads from /proc who is left of a killed tree of processes.
 *
 * The kernel sets a flag in a thread when it begins to exit, and never takes it back (PF_EXITING,
 * include/linux/sched.h; the ninth field of /proc/<pid>/stat, proc(5)). The freeing of what a
 * process held, as a tree of folders in memory, comes after that and may take long.
 */
#include "dying.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "watch.h"

#define PF_EXITING 0x4u
/* Killed processes are gone within milliseconds, unless the kernel has much of theirs to free. */
#define PROMPT_S 0.25
#define LOOK_AGAIN_S 0.02

struct process {
    pid_t pid;
    pid_t parent;
    bool is_below;
};

struct processes {
    struct process *all;
    size_t count;
    size_t room;
};

/* False when there is no such file (any more). */
static bool read_stat(const char *path, pid_t *parent, bool *exiting) {
    char line[1024];
    unsigned flags = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd >= 0 ? read(fd, line, sizeof line - 1) : -1;
    if (fd >= 0)
        close(fd);
    line[size > 0 ? size : 0] = '\0';
    /* The name before it may hold anything, brackets included. */
    const char *after_name = strrchr(line, ')');
    if (after_name == NULL ||
        sscanf(after_name, ") %*c %d %*d %*d %*d %*d %u", parent, &flags) != 2)
        return false;
    *exiting = (flags & PF_EXITING) != 0;
    return true;
}

pid_t parent_of(pid_t pid) {
    char path[64];
    pid_t parent;
    bool exiting;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    return read_stat(path, &parent, &exiting) ? parent : -1;
}

static void add_process(struct processes *processes, pid_t pid, pid_t parent) {
    if (processes->count == processes->room) {
        size_t room = processes->room ? processes->room * 2 : 256;
        struct process *all = reallocarray(processes->all, room, sizeof *all);
        if (all == NULL)
            give_up("out of memory");
        processes->all = all;
        processes->room = room;
    }
    processes->all[processes->count++] = (struct process){.pid = pid, .parent = parent};
}

static bool list_processes(struct processes *processes) {
    struct dirent *entry;
    DIR *folder = opendir("/proc");
    if (folder == NULL)
        return false;
    while ((entry = readdir(folder)) != NULL) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10), parent = parent_of(pid);
        if (parent >= 0)
            add_process(processes, pid, parent);
    }
    closedir(folder);
    return true;
}

/* Marks `top` and all below it; false when it is not there. */
static bool mark_tree(struct processes *processes, pid_t top) {
    bool found = false, more = true;
    for (size_t i = 0; i < processes->count; i++)
        if (processes->all[i].pid == top)
            found = processes->all[i].is_below = true;
    while (more) {
        more = false;
        for (size_t i = 0; i < processes->count; i++) {
            struct process *process = &processes->all[i];
            for (size_t j = 0; !process->is_below && j < processes->count; j++)
                if (processes->all[j].is_below && processes->all[j].pid == process->parent)
                    more = process->is_below = true;
        }
    }
    return found;
}

/* A process that is gone has no threads: it is as dead as can be. */
static bool all_threads_exit(pid_t pid) {
    struct dirent *entry;
    char path[64 + sizeof entry->d_name];
    bool exiting = true;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *folder = opendir(path);
    while (folder != NULL && exiting && (entry = readdir(folder)) != NULL) {
        pid_t parent;
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%s/stat", pid, entry->d_name);
        /* One that has gone between the two looks was on its way out. */
        if (!read_stat(path, &parent, &exiting))
            exiting = true;
    }
    if (folder != NULL)
        closedir(folder);
    return exiting && (folder != NULL || parent_of(pid) < 0);
}

bool tree_is_dying(pid_t top) {
    struct processes processes = {0};
    bool dying = list_processes(&processes) && mark_tree(&processes, top);
    for (size_t i = 0; dying && i < processes.count; i++)
        if (processes.all[i].is_below)
            dying = all_threads_exit(processes.all[i].pid);
    free(processes.all);
    return dying;
}

/* False of one that is gone, or only waits to be collected. The owner of /proc/<pid> would lie for a
 * process that made itself undumpable. */
static bool lives_as(const char *pid, long wanted) {
    char path[64], line[256], state = '?';
    long threads = 0, uid = -1;
    snprintf(path, sizeof path, "/proc/%.20s/status", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    while (fgets(line, sizeof line, file) != NULL) {
        sscanf(line, "State: %c", &state);
        sscanf(line, "Threads: %ld", &threads);
        sscanf(line, "Uid: %ld", &uid);
    }
    fclose(file);
    /* A first thread that ended alone leaves a zombie's state to a process whose others run on. */
    return (state != 'Z' || threads > 1) && uid == wanted;
}

/* A look at many processes takes long where these take all the processor: `holds` of each until it
 * does not. */
static bool all_of(long uid, bool (*holds)(pid_t pid)) {
    struct dirent *entry;
    bool all = true;
    DIR *folder = opendir("/proc");
    if (folder == NULL)
        give_up("no /proc");
    while (all && (entry = readdir(folder)) != NULL) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0 && pid != getpid() && (uid == ANY_UID || lives_as(entry->d_name, uid)))
            all = holds(pid);
    }
    closedir(folder);
    return all;
}

static bool is_gone(pid_t pid) {
    (void)pid;
    return false;
}

bool nobody_lives_as(uid_t uid) { return all_of((long)uid, is_gone); }
bool all_are_dying(long uid) { return all_of(uid, all_threads_exit); }
bool process_is_dying(pid_t pid) { return all_threads_exit(pid); }

enum left see_off(strike_call *strike, watch_condition *is_over, watch_condition *is_dying,
                  void *context, double until) {
    double prompt_until = now() + PROMPT_S;
    for (;;) {
        if (!strike(context))
            return LEFT_ALIVE;
        watch_reap();
        if (is_over(context))
            return LEFT_NONE;
        if (now() >= prompt_until && is_dying(context))
            return LEFT_DYING;
        if (now() >= until)
            return LEFT_ALIVE;
        watch_step(fmin(until, now() + LOOK_AGAIN_S));
    }
}
