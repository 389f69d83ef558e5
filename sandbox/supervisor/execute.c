/* One execution of the learner's program. */
#include "execute.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base64.h"
#include "files.h"

#define SIGXCPU_CODE (128 + SIGXCPU)
#define SIGKILL_CODE (128 + SIGKILL)
#define MOST_DRAINED_S 1.0

/* Keeps the first bytes of a stream; `full` once more than that came. */
struct capture {
    int fd;
    size_t most;
    struct bytes content;
    bool full;
    bool closed;
};

/* Writes stdin as fast as it is read, never blocking on a program that does not read. */
struct feed {
    int fd;
    const char *rest;
    size_t left;
    bool closed;
};

struct execution {
    const struct isolation *isolation;
    struct cell cell;
    struct feed feed;
    struct capture out, err;
};

static void unblock(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

static void close_stream(int fd, bool *closed) {
    if (*closed)
        return;
    *closed = true;
    watch_off(fd);
    close(fd);
}

static void read_capture(void *context) {
    static char data[65536];
    struct capture *capture = context;
    ssize_t got = read(capture->fd, data, sizeof data);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        close_stream(capture->fd, &capture->closed);
        return;
    }
    size_t room = capture->most - capture->content.size, size = (size_t)got;
    bytes_add(&capture->content, data, size < room ? size : room);
    capture->full = capture->full || size > room;
}

static void write_feed(void *context) {
    struct feed *feed = context;
    ssize_t put = feed->left > 0 ? write(feed->fd, feed->rest, feed->left) : 0;
    if (put < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    /* Nobody reads it any more: that is the program's own affair. */
    size_t done = put < 0 ? feed->left : (size_t)put;
    feed->rest += done;
    feed->left -= done;
    if (feed->left == 0)
        close_stream(feed->fd, &feed->closed);
}

static bool is_over(void *context) {
    const struct execution *execution = context;
    return execution->isolation->has_ended(&execution->cell) || execution->out.full ||
           execution->err.full;
}

static bool is_empty(const struct capture *capture) {
    int waiting = 0;
    return capture->closed || (ioctl(capture->fd, FIONREAD, &waiting) == 0 && waiting == 0);
}

/* Writers that are dying hold their ends open, and write nothing. */
static bool is_drained(void *context) {
    const struct execution *execution = context;
    return is_empty(&execution->out) && is_empty(&execution->err);
}

static void begin_streams(struct execution *execution) {
    unblock(execution->feed.fd);
    unblock(execution->out.fd);
    unblock(execution->err.fd);
    watch_on(execution->feed.fd, WRITABLE, write_feed, &execution->feed);
    watch_on(execution->out.fd, READABLE, read_capture, &execution->out);
    watch_on(execution->err.fd, READABLE, read_capture, &execution->err);
}

static void end_streams(struct execution *execution) {
    close_stream(execution->feed.fd, &execution->feed.closed);
    close_stream(execution->out.fd, &execution->out.closed);
    close_stream(execution->err.fd, &execution->err.closed);
}

/* What stopped it. Only a signal that neither we nor the memory limit sent needs guessing: the CPU
 * limit sends it too, though a program may also exit with that code, or send itself the signal.
 * Told apart by processor time, for several threads use up their limit sooner than the clock; and
 * by half of the limit, for the kernel counts whole ticks for whoever is running at one. */
static const char *reason_of(const struct execution *execution, bool in_time, bool flooded,
                             double cpu_limit_s) {
    int code = execution->cell.code;
    bool cpu_spent = execution->cell.cpu_s >= cpu_limit_s / 2;
    if (flooded || execution->out.full || execution->err.full)
        return "output";
    if (!in_time || (code == SIGXCPU_CODE && cpu_spent))
        return "time";
    if (code != 0 && execution->isolation->killed_for_memory(&execution->cell))
        return "memory";
    return code == SIGKILL_CODE && cpu_spent ? "time" : "exited";
}

static void add_base64_member(struct bytes *frame, const char *name, const struct bytes *content) {
    bytes_format(frame, ",\"%s\":\"", name);
    base64_encode(frame, content->data, content->size);
    bytes_add_text(frame, "\"");
}

static void write_ran(struct bytes *ran, const char *reason, int code, const struct bytes *out,
                      const struct bytes *err, double wall_s) {
    bytes_format(ran, "{\"type\":\"ran\",\"reason\":\"%s\",\"code\":%d", reason, code);
    add_base64_member(ran, "stdout", out);
    add_base64_member(ran, "stderr", err);
    bytes_format(ran, ",\"wall_ms\":%.1f}", wall_s * 1000);
}

/* -- collecting -------------------------------------------------------------------------------- */

struct stream {
    int fd;
    struct bytes content;
    bool closed;
};

static void read_stream(void *context) {
    static char data[65536];
    struct stream *stream = context;
    ssize_t got = read(stream->fd, data, sizeof data);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got > 0)
        bytes_add(&stream->content, data, (size_t)got);
    /* The sender bounds itself; this bounds one that does not. */
    if (got <= 0 || stream->content.size > 2 * MAX_COLLECTED_BYTES)
        close_stream(stream->fd, &stream->closed);
}

static bool is_closed(void *context) { return ((struct stream *)context)->closed; }

/* From what `send_collected` sent to the members of an object, and names of a list. */
static void read_collected(const struct program *program, const struct bytes *sent,
                           struct bytes *files, struct bytes *left_out) {
    uint32_t header[2], next = 0;
    size_t at = 0;
    while (sent->size - at >= sizeof header) {
        memcpy(header, sent->data + at, sizeof header);
        at += sizeof header;
        if (header[0] < next || header[0] >= program->collect_count)
            return;
        next = header[0] + 1;
        const char *name = program->collect[header[0]];
        if (header[1] == TOO_LARGE) {
            bytes_format(left_out, "%s\"%s\"", left_out->size > 0 ? "," : "", name);
            continue;
        }
        if (header[1] > MAX_COLLECTED_BYTES || header[1] > sent->size - at)
            return;
        bytes_format(files, "%s\"%s\":\"", files->size > 0 ? "," : "", name);
        base64_encode(files, sent->data + at, header[1]);
        bytes_add_text(files, "\"");
        at += header[1];
    }
}

static void write_collected(const struct program *program, const struct bytes *sent,
                            struct bytes *ran) {
    struct bytes files = {0}, left_out = {0};
    read_collected(program, sent, &files, &left_out);
    bytes_add_text(ran, ",\"files\":{");
    bytes_add(ran, files.data, files.size);
    bytes_add_text(ran, "}");
    if (left_out.size > 0) {
        bytes_add_text(ran, ",\"left_out\":[");
        bytes_add(ran, left_out.data, left_out.size);
        bytes_add_text(ran, "]");
    }
    bytes_add_text(ran, "}");
    bytes_free(&files);
    bytes_free(&left_out);
}

/* Adds `files`, and the names of those that had no room, to the finished answer. */
static bool collect(const struct program *program, const struct isolation *isolation,
                    struct bytes *ran, struct failure *failure) {
    int write_fd;
    struct stream stream = {0};
    make_pipe(&stream.fd, &write_fd);
    bool begun = isolation->collect(program, write_fd, failure);
    close(write_fd);
    unblock(stream.fd);
    watch_on(stream.fd, READABLE, read_stream, &stream);
    if (begun)
        watch_until(is_closed, &stream, now() + KILL_PATIENCE_S);
    close_stream(stream.fd, &stream.closed);
    ran->size--; /* the closing brace */
    write_collected(program, &stream.content, ran);
    bytes_free(&stream.content);
    return begun;
}

/* -- the whole --------------------------------------------------------------------------------- */

/* A program that does not exist is an answer for the grader, as in a shell. */
static enum executed not_started(const struct program *program, const struct isolation *isolation,
                                 struct bytes *ran, const struct failure *failure) {
    struct bytes none = {0}, text = {0};
    if (failure->kind == START_FAILED)
        return EXECUTED_FAILED;
    if (failure->kind == START_NO_SPACE && !program->keep && !isolation->answers_no_space)
        return EXECUTED_NO_SPACE;
    bytes_add_text(&text, program->argv[0]);
    bytes_add_text(&text, failure->kind == START_NO_SPACE
                              ? ": its files do not fit"
                              : ": cannot be executed");
    if (text.size > program->bounds.output_bytes)
        text.size = program->bounds.output_bytes;
    write_ran(ran, "exited", 127, &none, &text, 0);
    bytes_free(&text);
    return EXECUTED;
}

static enum executed stop_and_tell(struct execution *execution, const struct program *program,
                                   double started_at, bool in_time, struct bytes *ran,
                                   struct failure *failure) {
    bool flooded = execution->out.full || execution->err.full;
    if (!execution->isolation->end(&execution->cell, now() + KILL_PATIENCE_S, failure))
        return EXECUTED_FAILED;
    /* All writers are dead, so nothing comes after what is still in the pipes. */
    watch_until(is_drained, execution, now() + MOST_DRAINED_S);
    const char *reason = reason_of(execution, in_time, flooded, program->bounds.cpu_s);
    write_ran(ran, reason, execution->cell.code, &execution->out.content, &execution->err.content,
              now() - started_at);
    return EXECUTED;
}

/* What a program left for the kernel to do is done in the time of its learner's next one. */
static enum executed no_room(const struct program *program, enum made_room room, double run_until,
                             struct bytes *ran) {
    struct bytes none = {0};
    if (room == ROOM_FAILED)
        return EXECUTED_FAILED;
    if (now() >= run_until)
        return EXECUTED_TOO_LATE;
    write_ran(ran, "time", SIGKILL_CODE, &none, &none, program->bounds.wall_s);
    return EXECUTED;
}

/* The learner's, as it knows them: /dev/stdin and the like open them anew, which ours alone may
 * otherwise. Nobody else's program has a name for them. */
static void make_streams(struct execution *execution, int theirs[3]) {
    make_pipe(&theirs[0], &execution->feed.fd);
    make_pipe(&execution->out.fd, &theirs[1]);
    make_pipe(&execution->err.fd, &theirs[2]);
    fchmod(theirs[0], 0444);
    fchmod(theirs[1], 0222);
    fchmod(theirs[2], 0222);
}

enum executed execute(const struct program *program, const struct isolation *isolation,
                      double run_until, struct bytes *ran, struct failure *failure) {
    double room_until = fmin(now() + program->bounds.wall_s, run_until);
    enum made_room room = isolation->make_room(program, room_until, failure);
    if (room != ROOM)
        return no_room(program, room, run_until, ran);
    double started_at = now(), until = fmin(started_at + program->bounds.wall_s, run_until);
    struct execution execution = {.isolation = isolation};
    int theirs[3];
    make_streams(&execution, theirs);
    execution.feed.rest = program->input.data;
    execution.feed.left = program->input.size;
    execution.out.most = execution.err.most = program->bounds.output_bytes;
    bool started = isolation->start_learner(&execution.cell, program, theirs, failure);
    for (int i = 0; i < 3; i++)
        close(theirs[i]);
    enum executed executed;
    if (started) {
        begin_streams(&execution);
        bool in_time = watch_until(is_over, &execution, until);
        executed = stop_and_tell(&execution, program, started_at, in_time, ran, failure);
        if (executed == EXECUTED && !in_time && until == run_until)
            executed = EXECUTED_TOO_LATE;
    } else {
        executed = not_started(program, isolation, ran, failure);
    }
    end_streams(&execution);
    watch_forget_child(&execution.cell.child);
    bytes_free(&execution.out.content);
    bytes_free(&execution.err.content);
    if (executed == EXECUTED && program->collect_count > 0 &&
        !collect(program, isolation, ran, failure))
        executed = EXECUTED_FAILED;
    return executed;
}
