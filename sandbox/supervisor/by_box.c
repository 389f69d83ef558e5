/* Keeps grader and learner apart by two bubblewrap boxes side by side, on a host or in a slot.
 *
 * Run as root, each box is first given a host uid that nothing else uses: bubblewrap's own `--uid`
 * only renames, and under root the box would still be root to the host's files and limits.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base64.h"
#include "dying.h"
#include "in_box.h"
#include "isolation.h"
#include "layout.h"
#include "memory.h"
#include "scratch.h"

#define JOIN_SESSION_KEYRING 1
#define MOST_UID 4294967294.0
/* A killed box is gone within milliseconds, unless the kernel has much of it to free. */
#define PROMPT_S 0.5
#define LOOK_AGAIN_S 0.1
/* How long a program waits for the memory of the box before it. */
#define MEMORY_PATIENCE_S 2.0
/* What is left of boxes when another is opened: one less than this. */
#define MOST_REMAINS 2

/* A list of texts that ends with NULL, as exec takes it. */
struct words {
    char **words;
    size_t count;
};

/* What the host decided about the boxes of one run (the start frame's `isolation`). */
static struct settings {
    char *bwrap;
    char *python;
    struct words options;
    struct words grader_options;
    struct words grader_cgroups;
    struct words learner_cgroups;
    struct words memory_counters; /* beside those of the groups */
    struct words grader_counters;
    struct words learner_counters;
    struct bytes seccomp; /* the compiled filter, may be empty */
    long grader_uid;      /* NO_UID when we are not root to begin with */
    long learner_uid;
    bool memory_is_bounded;
    bool memory_is_shared;
    struct limits limits;
} settings;

/* A bubblewrap process and the box below it, ended by killing the box's first process. */
struct box {
    struct child child;
    bool open; /* it was started and is not known to be gone */
    int status_fd;
    struct bytes status;
    bool status_ended;
    pid_t init_pid;
    int init_fd; /* a pidfd of the first process, -1 until its number has come */
    bool init_gone;
    int orders_fd; /* the learner's */
    bool unused;   /* no program has been in it yet */
    bool hung_up;  /* nobody is there to take orders: the box ends */
    bool told;     /* its program's end has been told */
    int told_code;
    double told_cpu_s;
};

static struct box grader_box, learner_box;
/* Pidfds of the last processes of boxes in which nothing runs any more, but which the kernel has
 * not freed yet. */
static int remains[] = {-1, -1, -1, -1};
static size_t remain_count;
/* `memory_without_owner` when the learner's present box was taken into use. */
static int64_t without_owner_before;

/* -- settings ---------------------------------------------------------------------------------- */

static void add_word(struct words *words, const char *word) {
    words->words = reallocarray(words->words, words->count + 2, sizeof *words->words);
    char *copy = words->words != NULL ? strdup(word) : NULL;
    if (copy == NULL)
        give_up("out of memory");
    words->words[words->count++] = copy;
    words->words[words->count] = NULL;
}

static void add_words(struct words *words, const struct words *more) {
    for (size_t i = 0; i < more->count; i++)
        add_word(words, more->words[i]);
}

/* A member that is missing or of another kind is never taken as its weakest value. */
static noreturn void refuse_setting(const char *name) {
    give_up("the isolation of the start frame is not complete: %s", name);
}

/* A node of one of two kinds. */
static uint32_t setting(const struct json *json, uint32_t frame, const char *name,
                        enum json_kind kind, enum json_kind other) {
    uint32_t node = json_member(json, frame, name);
    if (node == 0 || !(json_is_kind(json, node, kind) || json_is_kind(json, node, other)))
        refuse_setting(name);
    return node;
}

static char *text_of(const struct json *json, uint32_t node, const char *name) {
    struct bytes text = {0};
    if (!json_is_kind(json, node, JSON_STRING) || !json_decode(json, node, &text) ||
        memchr(text.data, '\0', text.size) != NULL)
        refuse_setting(name);
    return text.data;
}

static char *setting_text(const struct json *json, uint32_t frame, const char *name) {
    char *text = text_of(json, setting(json, frame, name, JSON_STRING, JSON_STRING), name);
    if (text[0] == '\0')
        refuse_setting(name);
    return text;
}

static void setting_words(struct words *words, const struct json *json, uint32_t frame,
                          const char *name) {
    uint32_t list = setting(json, frame, name, JSON_ARRAY, JSON_ARRAY);
    words->words = allocate(1, sizeof *words->words);
    for (uint32_t node = list + 1; node < json->nodes[list].next; node = json->nodes[node].next) {
        char *word = text_of(json, node, name);
        add_word(words, word);
        free(word);
    }
}

/* Null only where we have none to give: a box of root's would be root to the host's files. */
static long setting_uid(const struct json *json, uint32_t frame, const char *name) {
    uint32_t node = setting(json, frame, name, JSON_NUMBER, JSON_NULL);
    if (json_is_kind(json, node, JSON_NULL)) {
        if (geteuid() == 0)
            refuse_setting(name);
        return NO_UID;
    }
    double uid = json_number(json, node);
    if (!(uid >= 1 && uid <= MOST_UID) || uid != (double)(long)uid)
        refuse_setting(name);
    return (long)uid;
}

static void setting_counters(struct words *counters, const struct words *cgroups) {
    static const char *const names[] = {"memory.oom_control", "memory.events"};
    counters->words = allocate(1, sizeof *counters->words);
    for (size_t i = 0; i < cgroups->count * 2; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", cgroups->words[i / 2], names[i % 2]);
        add_word(counters, path);
    }
    add_words(counters, &settings.memory_counters);
}

static bool setting_flag(const struct json *json, uint32_t frame, const char *name) {
    return json_is_kind(json, setting(json, frame, name, JSON_TRUE, JSON_FALSE), JSON_TRUE);
}

/* No box without its filter. */
static void setting_seccomp(const struct json *json, uint32_t frame) {
    char *text = setting_text(json, frame, "seccomp");
    if (!base64_decode(&settings.seccomp, text, strlen(text)) || settings.seccomp.size == 0)
        refuse_setting("seccomp");
    free(text);
}

static void read_settings(const struct json *json, const struct limits *limits) {
    uint32_t frame = json_member(json, 0, "isolation");
    if (frame == 0 || !json_is_kind(json, frame, JSON_OBJECT))
        give_up("the start frame has no isolation");
    settings.bwrap = setting_text(json, frame, "bwrap");
    settings.python = setting_text(json, frame, "python");
    setting_words(&settings.options, json, frame, "options");
    setting_words(&settings.grader_options, json, frame, "grader_options");
    setting_words(&settings.grader_cgroups, json, frame, "grader_cgroups");
    setting_words(&settings.learner_cgroups, json, frame, "learner_cgroups");
    setting_words(&settings.memory_counters, json, frame, "memory_counters");
    setting_counters(&settings.grader_counters, &settings.grader_cgroups);
    setting_counters(&settings.learner_counters, &settings.learner_cgroups);
    setting_seccomp(json, frame);
    settings.grader_uid = setting_uid(json, frame, "grader_uid");
    settings.learner_uid = setting_uid(json, frame, "learner_uid");
    if (settings.grader_uid != NO_UID && settings.grader_uid == settings.learner_uid)
        refuse_setting("learner_uid");
    settings.memory_is_bounded = setting_flag(json, frame, "memory_is_bounded");
    settings.memory_is_shared = setting_flag(json, frame, "memory_is_shared");
    settings.limits = *limits;
}

/* -- the last steps of a child before it is bubblewrap ----------------------------------------- */

static void join(const struct words *cgroups) {
    for (size_t i = 0; i < cgroups->count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/cgroup.procs", cgroups->words[i]);
        int fd = must_open(path, O_WRONLY);
        if (write(fd, "0", 1) != 1)
            not_become_errno(path);
        close(fd);
    }
}

/* No namespace keeps our session keyring from a box, and what one box left in it the next would
 * find. Where the call is filtered or absent, the box cannot make it either. */
static void forget_keys(void) {
    if (syscall(SYS_keyctl, JOIN_SESSION_KEYRING, NULL) < 0 && errno != EPERM && errno != ENOSYS)
        not_become_errno("no session keyring for a box");
}

static int memory_file(const void *data, size_t size) {
    int fd = memfd_create("xq", MFD_CLOEXEC);
    if (fd < 0 || !write_all(fd, data, size) || lseek(fd, 0, SEEK_SET) < 0)
        give_up("no memory for a file: %s", strerror(errno));
    return fd;
}

static void add_option(struct words *command, const char *option, double number) {
    char text[32];
    snprintf(text, sizeof text, "%.0f", number);
    add_word(command, option);
    add_word(command, text);
}

static void add_scratch(struct words *command, const struct scratch *all, size_t count) {
    for (size_t i = 0; i < count; i++) {
        char source[SCRATCH_PATH_BYTES];
        scratch_source(source, &all[i]);
        add_word(command, "--bind");
        add_word(command, source);
        add_word(command, all[i].path);
    }
}

/* Ourselves, at one place in every box. In an image we are there already, for everybody to read; a
 * host's own copy may lie in a private folder, and is copied into the box. */
static void add_xq(struct words *command) {
    struct stat ourselves, in_image;
    if (stat("/proc/self/exe", &ourselves) == 0 && stat(XQ_PATH, &in_image) == 0 &&
        ourselves.st_dev == in_image.st_dev && ourselves.st_ino == in_image.st_ino) {
        add_word(command, "--ro-bind");
        add_word(command, XQ_PATH);
        add_word(command, XQ_PATH);
        return;
    }
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        not_become_errno("/proc/self/exe");
    add_word(command, "--perms");
    add_word(command, "0555");
    add_option(command, "--ro-bind-data", keep_descriptor(fd));
    add_word(command, XQ_PATH);
}

static noreturn void exec_box(struct words *command, int status_fd, const char *first) {
    static const char *const sealed[] = {"--remount-ro", "/dev", "--remount-ro", "/"};
    for (size_t i = 0; i < 4; i++)
        add_word(command, sealed[i]);
    int filter_fd = memory_file(settings.seccomp.data, settings.seccomp.size);
    add_option(command, "--seccomp", keep_descriptor(filter_fd));
    add_option(command, "--json-status-fd", status_fd);
    add_word(command, "--");
    add_word(command, XQ_PATH);
    add_word(command, first);
    add_word(command, settings.python);
    exec_program(settings.bwrap, command->words, (char *[]){NULL});
}

static void begin_command(struct words *command) {
    add_word(command, settings.bwrap);
    add_words(command, &settings.options);
}

/* -- boxes ------------------------------------------------------------------------------------- */

/* Nothing when it has ended already: its number may then be another's. */
static void know_init(struct box *box, pid_t pid) {
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    pid_t parent = fd >= 0 ? parent_of(pid) : -1;
    if (parent == box->child.pid || parent == getpid()) {
        box->init_pid = pid;
        box->init_fd = fd;
    } else if (fd >= 0) {
        close(fd);
    }
}

static void read_status(void *context) {
    struct box *box = context;
    char data[4096];
    ssize_t got = read(box->status_fd, data, sizeof data);
    if (got < 0 && errno == EINTR)
        return;
    if (got <= 0) {
        box->status_ended = true;
        watch_off(box->status_fd);
        return;
    }
    bytes_add(&box->status, data, (size_t)got);
    const char *newline = memchr(box->status.data, '\n', box->status.size);
    struct json json;
    if (newline == NULL || box->init_fd >= 0)
        return;
    if (json_parse(&json, box->status.data, (size_t)(newline - box->status.data)) == NULL) {
        uint32_t pid = json_member(&json, 0, "child-pid");
        if (pid != 0 && json_is_kind(&json, pid, JSON_NUMBER))
            know_init(box, (pid_t)json_number(&json, pid));
    }
    json_free(&json);
}

static void note_init_gone(void *context) {
    struct box *box = context;
    box->init_gone = true;
    watch_off(box->init_fd);
}

static bool init_is_known_or_gone(void *context) {
    const struct box *box = context;
    return box->init_fd >= 0 || box->child.ended;
}
/* The box's first process is gone only when all the others are. */
static bool box_is_gone(void *context) {
    const struct box *box = context;
    return box->child.ended && (box->init_fd < 0 || box->init_gone);
}
static bool status_has_ended(void *context) { return ((struct box *)context)->status_ended; }

static bool platform_failed(struct failure *failure, const char *what) {
    failure->kind = START_FAILED;
    snprintf(failure->detail, sizeof failure->detail, "%s", what);
    return false;
}

struct box_start {
    struct box *box;
    int status_fd;
    int orders_fd;
    int files_fd, report_fd;
    const struct grader *grader;
};

static bool open_box(struct box *box, become_call *become, struct box_start *start,
                     struct failure *failure) {
    bytes_free(&box->status);
    *box = (struct box){.init_fd = -1, .orders_fd = -1};
    make_pipe(&box->status_fd, &start->status_fd);
    pid_t pid = fork_into(become, start, failure);
    close(start->status_fd);
    if (pid < 0) {
        close(box->status_fd);
        if (failure->kind != START_BAD_ARGUMENTS) {
            char why[MESSAGE_BYTES - 64];
            snprintf(why, sizeof why, "%.400s", failure->detail);
            failure->kind = START_FAILED;
            snprintf(failure->detail, sizeof failure->detail,
                     "bubblewrap cannot be started: %s", why);
        }
        return false;
    }
    box->open = true;
    watch_child(&box->child, pid);
    watch_on(box->status_fd, READABLE, read_status, box);
    return true;
}

/* bubblewrap's own failure, which has the exit code of many a program's: it tells a program's code
 * on the status descriptor as well. */
static bool was_never_set_up(const struct box *box) {
    static const char told[] = "\"exit-code\"";
    return box->child.ended && shell_code(box->child.status) == 1 &&
           (box->status.size == 0 ||
            memmem(box->status.data, box->status.size, told, sizeof told - 1) == NULL);
}

/* Of a box that is gone or left: what we hold of it, but for its first process's descriptor. */
static void forget_box(struct box *box) {
    watch_forget_child(&box->child);
    watch_off(box->status_fd);
    close(box->status_fd);
    if (box->init_fd >= 0)
        watch_off(box->init_fd);
    if (box->orders_fd >= 0) {
        watch_off(box->orders_fd);
        close(box->orders_fd);
    }
    box->open = false;
}

static void note_remains_gone(void *context) {
    int *place = context, fd = *place;
    watch_off(fd);
    close(fd);
    *place = -1;
    remain_count--;
}

/* All of it is dead, and only the kernel is still at work: that is nobody's failure, and nothing
 * to wait for. */
static void leave_box(struct box *box) {
    int last_fd = box->init_fd, outer_fd = -1;
    /* Its bubblewrap ends after the box's first process, and holds the folders as long. */
    if (!box->child.ended)
        outer_fd = (int)syscall(SYS_pidfd_open, box->child.pid, 0);
    forget_box(box);
    if (outer_fd >= 0) {
        close(box->init_fd);
        last_fd = outer_fd;
    }
    for (size_t i = 0; i < sizeof remains / sizeof *remains; i++)
        if (remains[i] < 0) {
            remains[i] = last_fd;
            remain_count++;
            watch_on(last_fd, READABLE, note_remains_gone, &remains[i]);
            return;
        }
    /* Cannot be: there was room when a box was opened, and at the end there are two. */
    give_up("too much is left of boxes");
}

static bool nothing_remains(void *context) {
    (void)context;
    return remain_count == 0;
}

static bool there_is_room(void *context) {
    (void)context;
    return remain_count < MOST_REMAINS;
}

/* Nothing runs in it, and it has a known first process. */
static bool box_is_dying(const struct box *box) {
    if (box->init_fd < 0)
        return false;
    return box->init_gone ? process_is_dying(box->child.pid) : tree_is_dying(box->init_pid);
}

bool await_remains_of_boxes(double until) { return watch_until(nothing_remains, NULL, until); }

/* Gone or left within `PROMPT_S`, whatever a learner has put into it; `until` is for a box whose
 * processes do not even begin to end, which is the platform's failure. */
static bool end_box(struct box *box, double until, struct failure *failure) {
    if (!box->open)
        return true;
    watch_until(init_is_known_or_gone, box, until);
    /* Its number arrives on the status descriptor; killing the first process kills the box. */
    if (box->init_fd >= 0) {
        syscall(SYS_pidfd_send_signal, box->init_fd, SIGKILL, NULL, 0);
        watch_on(box->init_fd, READABLE, note_init_gone, box);
    }
    bool gone = watch_until(box_is_gone, box, fmin(until, now() + PROMPT_S));
    for (int dying = 0; !gone;) {
        dying = box_is_dying(box) ? dying + 1 : 0;
        if (dying == 2) {
            leave_box(box);
            return true;
        }
        gone = watch_until(box_is_gone, box, now() + LOOK_AGAIN_S);
        if (!gone && dying == 0 && now() >= until) {
            kill(box->child.pid, SIGKILL);
            return platform_failed(failure, "a box could not be ended");
        }
    }
    watch_until(status_has_ended, box, until);
    int init_fd = box->init_fd;
    forget_box(box);
    if (init_fd >= 0)
        close(init_fd);
    return true;
}

/* 128 + SIGKILL of one that was left: we killed it, or the kernel did. */
static int code_of(const struct box *box) {
    return box->child.ended ? shell_code(box->child.status) : 128 + SIGKILL;
}

/* -- the grader -------------------------------------------------------------------------------- */

static void become_grader(void *context) {
    struct box_start *start = context;
    struct words command = {0};
    const struct scratch scratch[] = {{GRADE_DIR, GRADE_BYTES, GRADE_FILES},
                                      {SCRATCH_DIR, settings.limits.scratch_bytes, MOST_FILES}};
    set_oom_score(GRADER_OOM_SCORE);
    arrange_descriptors((int[]){start->files_fd, start->grader->log_fd, start->grader->log_fd,
                                start->grader->channel_fd, start->report_fd},
                        5);
    int status_fd = keep_descriptor(start->status_fd);
    begin_command(&command);
    add_words(&command, &settings.grader_options);
    add_scratch(&command, scratch, 2);
    add_xq(&command);
    add_word(&command, "--chdir");
    add_word(&command, "/");
    join(&settings.grader_cgroups);
    apply_grader_limits();
    forget_keys();
    open_scratch(scratch, 2, settings.grader_uid);
    exec_box(&command, status_fd, "--place");
}

static int files_and_job(const struct grader *grader) {
    const struct json_node *files = &grader->json->nodes[grader->files],
                           *job = &grader->json->nodes[grader->job];
    int fd = memory_file("{\"files\":", 9);
    bool written = lseek(fd, 0, SEEK_END) >= 0 &&
                   write_all(fd, grader->json->text + files->start, files->size) &&
                   write_all(fd, ",\"job\":", 7) &&
                   write_all(fd, grader->json->text + job->start, job->size) &&
                   write_all(fd, "}", 1) && lseek(fd, 0, SEEK_SET) >= 0;
    if (!written)
        give_up("no memory for the grader's files");
    return fd;
}

/* -- the learner ------------------------------------------------------------------------------- */

static void become_first_of_learners_box(void *context) {
    struct box_start *start = context;
    struct words command = {0};
    double whole = settings.limits.scratch_bytes, small = (double)(long)(whole / 4);
    const struct scratch scratch[] = {{BOX_DIR, whole - small, MOST_FILES},
                                      {LEARNER_TMP_DIR, small, MOST_FILES}};
    set_oom_score(LEARNER_OOM_SCORE);
    int null_fd = must_open("/dev/null", O_RDWR);
    /* bubblewrap says on stderr why it could not set up the box. */
    arrange_descriptors((int[]){null_fd, null_fd, STDERR_FILENO, start->orders_fd}, 4);
    int status_fd = keep_descriptor(start->status_fd);
    begin_command(&command);
    add_word(&command, "--as-pid-1");
    add_scratch(&command, scratch, 2);
    add_xq(&command);
    add_word(&command, "--chdir");
    add_word(&command, BOX_DIR);
    join(&settings.learner_cgroups);
    /* The most of any program: each has its own below them. */
    struct bounds most = {.cpu_s = settings.limits.learner_cpu_s,
                          .scratch_bytes = (uint64_t)whole};
    apply_learner_limits(&most);
    forget_keys();
    open_scratch(scratch, 2, settings.learner_uid);
    exec_box(&command, status_fd, "--box");
}

static void hear_end(void *context) {
    struct box *box = context;
    char text[END_BYTES + 1] = {0}, *end;
    ssize_t got = recv(box->orders_fd, text, sizeof text - 1, MSG_DONTWAIT);
    if (got > 0) {
        box->told = true;
        box->told_code = (int)strtol(text, &end, 10);
        box->told_cpu_s = strtod(end, NULL);
    } else if (got == 0 || errno != EAGAIN) {
        box->hung_up = true;
        watch_off(box->orders_fd);
    }
}

static bool open_learner_box(struct failure *failure) {
    struct box_start start = {.box = &learner_box};
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        give_up("no socket: %s", strerror(errno));
    start.orders_fd = ends[1];
    bool opened = open_box(&learner_box, become_first_of_learners_box, &start, failure);
    close(ends[1]);
    if (!opened) {
        close(ends[0]);
        return false;
    }
    learner_box.unused = true;
    learner_box.orders_fd = ends[0];
    watch_on(ends[0], READABLE, hear_end, &learner_box);
    return true;
}

static bool start_grader(struct cell *cell, const struct grader *grader, struct failure *failure) {
    struct box_start start = {.box = &grader_box, .grader = grader};
    struct failure unheard;
    int report_fd;
    cell->kills_before = memory_kills((const char *const *)settings.grader_counters.words);
    make_pipe(&report_fd, &start.report_fd);
    start.files_fd = files_and_job(grader);
    bool started = open_box(&grader_box, become_grader, &start, failure);
    close(start.files_fd);
    close(start.report_fd);
    if (!started) {
        close(report_fd);
        return false;
    }
    /* The learner's first program shall find its box open, which is set up while the grader starts.
     * Where that does not work the program's own start will tell. */
    open_learner_box(&unheard);
    read_failure(report_fd, failure);
    return failure->kind == START_FINE;
}

static struct order order_for(enum order_kind kind, const struct program *program) {
    uint64_t pids = program->bounds.pids + BOX_OVERHEAD_PIDS;
    struct order order = {.kind = kind, .limits = *program->limits, .processes = pids};
    if (!settings.memory_is_bounded)
        order.address_space = (uint64_t)program->limits->memory_bytes;
    return order;
}

static bool send_order(const struct order *order, const int *fds, size_t count) {
    union {
        char space[CMSG_SPACE(ORDER_FDS * sizeof(int))];
        struct cmsghdr aligned;
    } control = {0};
    struct iovec part = {(void *)order, sizeof *order};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (count > 0) {
        message.msg_control = control.space;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(header), fds, count * sizeof(int));
    }
    return sendmsg(learner_box.orders_fd, &message, MSG_NOSIGNAL) == (ssize_t)sizeof *order;
}

static bool learner_has_ended(void *context) {
    (void)context;
    return learner_box.told || learner_box.hung_up || learner_box.child.ended;
}

static bool box_can_stay(const struct program *program) {
    return (program->keep || learner_box.unused) && learner_box.open && !learner_box.hung_up &&
           !learner_box.child.ended;
}

/* What a program left for the kernel to do is done in its learner's time. */
static enum made_room make_room(const struct program *program, double run_until,
                                struct failure *failure) {
    if (box_can_stay(program))
        return ROOM;
    if (!end_box(&learner_box, now() + KILL_PATIENCE_S, failure))
        return ROOM_FAILED;
    /* The memory of the last one may still be in use, which the next would have to do without. */
    double patient_until = fmin(run_until, now() + MEMORY_PATIENCE_S);
    watch_until(nothing_remains, NULL, patient_until);
    await_memory_freed((const char *const *)settings.learner_counters.words, without_owner_before,
                       patient_until);
    return watch_until(there_is_room, NULL, run_until) ? ROOM : ROOM_TOO_LATE;
}

static bool start_learner(struct cell *cell, const struct program *program, const int stdio[3],
                          struct failure *failure) {
    int report_fd, fds[ORDER_FDS];
    bool keeps = box_can_stay(program);
    *failure = (struct failure){0};
    if (!keeps && !open_learner_box(failure))
        return false;
    cell->is_learners = true;
    cell->kills_before = memory_kills((const char *const *)settings.learner_counters.words);
    bool was_used = !learner_box.unused;
    if (!was_used)
        without_owner_before =
            memory_without_owner((const char *const *)settings.learner_counters.words);
    learner_box.told = learner_box.unused = false;
    struct order order = order_for(ORDER_RUN, program);
    make_pipe(&report_fd, &fds[ORDER_REPORT_FD]);
    fds[ORDER_FRAME_FD] = memory_file(program->frame, program->frame_size);
    memcpy(fds + ORDER_STDIO_FD, stdio, 3 * sizeof *stdio);
    /* A box that is gone is noticed by its end: the report then says nothing. */
    send_order(&order, fds, ORDER_FDS);
    close(fds[ORDER_FRAME_FD]);
    close(fds[ORDER_REPORT_FD]);
    read_failure(report_fd, failure);
    if (failure->kind == START_FAILED && was_used) {
        /* Whoever had the box before may have spoilt it: no fault of the platform. */
        failure->kind = START_MISSING;
    }
    return failure->kind == START_FINE;
}

static bool collect(const struct program *program, int fd, struct failure *failure) {
    (void)failure;
    struct order order = order_for(ORDER_COLLECT, program);
    int fds[] = {memory_file(program->frame, program->frame_size), fd};
    if (learner_box.open)
        send_order(&order, fds, 2);
    close(fds[0]);
    return true;
}

/* -- cells ------------------------------------------------------------------------------------- */

static bool has_ended(const struct cell *cell) {
    return cell->is_learners ? learner_has_ended(NULL) : grader_box.child.ended;
}

static const struct child *process(const struct cell *cell) {
    return cell->is_learners ? &learner_box.child : &grader_box.child;
}

static bool killed_for_memory(const struct cell *cell) {
    const struct words *counters =
        cell->is_learners ? &settings.learner_counters : &settings.grader_counters;
    return memory_kills((const char *const *)counters->words) > cell->kills_before;
}

/* The program is stopped in its box, which stays for the next. Where that does not work the box
 * goes too. */
static bool end_learner(struct cell *cell, double until, struct failure *failure) {
    if (!learner_has_ended(NULL))
        send_order(&(struct order){.kind = ORDER_KILL}, NULL, 0);
    watch_until(learner_has_ended, NULL, until);
    if (learner_box.told) {
        cell->code = learner_box.told_code;
        cell->cpu_s = learner_box.told_cpu_s;
        return true;
    }
    bool by_itself = learner_box.hung_up || learner_box.child.ended;
    if (!end_box(&learner_box, until + KILL_PATIENCE_S, failure))
        return false;
    cell->code = code_of(&learner_box);
    if (by_itself && was_never_set_up(&learner_box) && !killed_for_memory(cell))
        return platform_failed(failure,
                               "bubblewrap could not set up a box; its reason is on stderr");
    return true;
}

static bool end_grader(struct cell *cell, double until, struct failure *failure) {
    bool by_itself = grader_box.child.ended;
    if (!end_box(&grader_box, until, failure))
        return false;
    cell->code = code_of(&grader_box);
    if (by_itself && was_never_set_up(&grader_box) && !killed_for_memory(cell))
        return platform_failed(failure,
                               "bubblewrap could not set up a box; its reason is on stderr");
    return true;
}

static bool end(struct cell *cell, double until, struct failure *failure) {
    if (cell->over)
        return true;
    cell->over = true;
    return cell->is_learners ? end_learner(cell, until, failure)
                             : end_grader(cell, until, failure);
}

static bool end_all(double until, struct failure *failure) {
    bool ended = end_box(&learner_box, until, failure);
    return end_box(&grader_box, fmax(until, now() + KILL_PATIENCE_S), failure) && ended;
}

const struct isolation *isolation_by_box(const struct json *json, const struct limits *limits) {
    static struct isolation by_box = {.start_grader = start_grader,
                                      .make_room = make_room,
                                      .start_learner = start_learner,
                                      .has_ended = has_ended,
                                      .process = process,
                                      .end = end,
                                      .killed_for_memory = killed_for_memory,
                                      .collect = collect,
                                      .end_all = end_all};
    read_settings(json, limits);
    by_box.memory_is_shared = settings.memory_is_shared;
    /* Boxes' first processes outlive their parents for a moment. A host's init may be slow to reap
     * them, or absent when a worker is a container's first process, and until then they count. */
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    return &by_box;
}
