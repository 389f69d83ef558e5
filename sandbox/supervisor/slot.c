/* A slot: a container that lives for many sessions, one at a time, each in boxes of its own.
 *
 * Every session is a process of its own, so that the next finds nothing of it in memory. PID 1 only
 * forks it, and looks afterwards whether anything is left. A slot in which something unusual
 * happened says so and ends: the host throws it away.
 */
#include "slot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "by_container.h"
#include "memory.h"
#include "session.h"

/* How a session's process ends; the host being gone is 0. */
#define SESSION_CLEAN 3
#define SESSION_BROKEN 4
/* bubblewrap's own processes are on their way out when a session says that it is over. */
#define GOING_S 1.0
/* The kernel frees what was in a box's memory after the box has gone. */
#define FREED_S 2.0

bool hold_session_in_boxes(void) {
    struct frame start;
    struct limits limits;
    await_start(&start);
    if (!limits_read(&limits, &start.json, json_member(&start.json, 0, "limits")))
        give_up("the start frame is not complete");
    return hold_session(&start, isolation_by_box(&start.json, &limits), false);
}

/* -- what a session could have changed outside of its boxes ------------------------------------ */

static void add_listing(struct bytes *into, const char *path) {
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        bytes_add_text(into, entries[i]->d_name);
        bytes_add_text(into, "\n");
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

static void add_content(struct bytes *into, const char *path) {
    char data[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got;
    while (fd >= 0 && (got = read(fd, data, sizeof data)) > 0)
        bytes_add(into, data, (size_t)got);
    if (fd >= 0)
        close(fd);
}

static void add_own_settings(struct bytes *into) {
    char folder[4096];
    mode_t mask = umask(0);
    umask(mask);
    bytes_format(into, "%o ", (unsigned)mask);
    bytes_add_text(into, getcwd(folder, sizeof folder) != NULL ? folder : "?");
}

static void add_memory_kills(struct bytes *into) {
    bytes_format(into, "%ld", memory_kills(CONTAINER_COUNTERS));
}

/* Names for people, and where each is found. */
static const struct {
    const char *what;
    void (*add)(struct bytes *);
    void (*add_path)(struct bytes *, const char *);
    const char *path;
} STATE[] = {
    {"killed for memory", add_memory_kills, NULL, NULL},
    {"our umask or folder", add_own_settings, NULL, NULL},
    {"our descriptors", NULL, add_listing, "/proc/self/fd"},
    {"files in /tmp", NULL, add_listing, "/tmp"},
    {"files in /dev/shm", NULL, add_listing, "/dev/shm"},
    {"files in /dev/mqueue", NULL, add_listing, "/dev/mqueue"},
    {"message queues", NULL, add_content, "/proc/sysvipc/msg"},
    {"semaphores", NULL, add_content, "/proc/sysvipc/sem"},
    {"shared memory", NULL, add_content, "/proc/sysvipc/shm"},
};
#define STATES (sizeof STATE / sizeof *STATE)

static void look(struct bytes state[STATES]) {
    for (size_t i = 0; i < STATES; i++) {
        state[i].size = 0;
        if (STATE[i].add != NULL)
            STATE[i].add(&state[i]);
        else
            STATE[i].add_path(&state[i], STATE[i].path);
    }
}

/* NULL, or what is not as it was. */
static const char *difference(const struct bytes before[STATES]) {
    static struct bytes after[STATES];
    look(after);
    for (size_t i = 0; i < STATES; i++)
        if (before[i].size != after[i].size ||
            (after[i].size > 0 && memcmp(before[i].data, after[i].data, after[i].size) != 0))
            return STATE[i].what;
    return NULL;
}

/* -- sessions ---------------------------------------------------------------------------------- */

static bool session_has_ended(void *context) { return ((struct child *)context)->ended; }

static bool is_alone(void *context) {
    (void)context;
    return !watch_has_children();
}

/* Processes that came from outside our tree count as well. */
static bool has_company(void) { return kill(-1, 0) == 0 || errno != ESRCH; }

/* NULL, or why the slot must not be used again. */
static const char *hold_one_session(const struct bytes before[STATES],
                                    int64_t without_owner_before) {
    struct child session;
    pid_t pid = fork();
    if (pid < 0)
        return "no session could be started";
    if (pid == 0)
        _exit(hold_session_in_boxes() ? SESSION_CLEAN : SESSION_BROKEN);
    watch_child(&session, pid);
    watch_until(session_has_ended, &session, INFINITY);
    watch_forget_child(&session);
    if (session.status == 0)
        _exit(0);
    bool left = !watch_until(is_alone, NULL, now() + GOING_S) || has_company();
    if (!clear_container(now() + KILL_PATIENCE_S))
        return "processes could not be killed";
    if (shell_code(session.status) != SESSION_CLEAN)
        return "a session broke";
    if (left)
        return "processes outlived their session";
    const char *changed = difference(before);
    if (changed == NULL &&
        !await_memory_freed(CONTAINER_COUNTERS, without_owner_before, now() + FREED_S))
        changed = "memory in use";
    return changed;
}

/* PID 1 never reads what the host says, so that it holds nothing of it; it only waits for it. */
static void await_host(void) {
    while (poll(&(struct pollfd){.fd = HOST_IN_FD, .events = POLLIN}, 1, -1) < 0 && errno == EINTR)
        ;
}

void serve_slot(void) {
    static struct bytes before[STATES];
    const char *why;
    watch_begin();
    isolation_by_container(); /* for its checks: we must be PID 1 */
    look(before);
    int64_t without_owner_before = memory_without_owner(CONTAINER_COUNTERS);
    do {
        say_to_host("ready");
        await_host();
        why = hold_one_session(before, without_owner_before);
    } while (why == NULL);
    struct bytes body = {0};
    bytes_format(&body, "{\"type\":\"unclean\",\"why\":\"%s\"}", why);
    send_to_host(body.data, body.size);
    bytes_free(&body);
}
