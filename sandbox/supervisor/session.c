/* The conversation of one run.
 *
 * Reports are passed on unread: the host checks them, and would not trust a check made here. Every
 * report leaves at once, so that a run cut short keeps what was finished.
 */
#include "session.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base64.h"
#include "execute.h"

#define LOG_BYTES (16 * 1024)
/* A grader whose time ends this soon after the learner's program did not hang by itself. */
#define GRADER_TURN_S 1.0

/* Why a run is over, in the words of the `ended` frame. */
#define FINISHED "finished"
#define GRADER_EXITED "grader-exited"
#define GRADER_UNUSABLE "grader-unusable"
#define GRADER_BROKE_PROTOCOL "grader-broke-protocol"
#define OUT_OF_TIME "out-of-time" /* the detail `learner` says whose time it was */
#define OUT_OF_MEMORY "out-of-memory" /* the learner's program took what the grader needed */
#define PLATFORM "platform"

struct session {
    struct frame *start; /* freed as soon as the grader has what it needs */
    const struct isolation *isolation;
    struct limits limits;
    double until;
    bool relays;
    struct cell grader;
    bool grader_started;
    int channel;
    bool channel_closed;
    struct frame_reader reader; /* from the grader */
    struct bytes unsent;        /* to the grader */
    size_t sent;                /* of it */
    int log_fd;
    struct bytes log; /* the last bytes of the grader's own output */
    double learner_ended_at;
    struct frame_reader host; /* when it answers runs */
    const char *how;          /* NULL until it is over */
    char detail[MESSAGE_BYTES];
};

/* -- the host ---------------------------------------------------------------------------------- */

void send_to_host(const void *body, size_t size) {
    /* Leaving kills what is left: PID 1 takes its container along, and boxes die with us. */
    if (!frame_write(HOST_OUT_FD, body, size))
        _exit(0);
}

void say_to_host(const char *type) {
    struct bytes body = {0};
    bytes_format(&body, "{\"type\":\"%s\"}", type);
    send_to_host(body.data, body.size);
    bytes_free(&body);
}

void await_start(struct frame *start) {
    char problem[MESSAGE_BYTES];
    enum frame_result result = frame_read(HOST_IN_FD, MAX_START_BYTES, start, problem);
    if (result == FRAME_NONE)
        _exit(0);
    if (result == FRAME_WRONG)
        give_up("the start frame: %s", problem);
}

static void tell_learner_active(bool active) {
    const char *text = active ? "{\"type\":\"learner\",\"active\":true}"
                              : "{\"type\":\"learner\",\"active\":false}";
    send_to_host(text, strlen(text));
}

/* After the start frame the host says nothing but answers to runs: readable means it has gone. */
static void hear_host(void *context) {
    static char data[65536];
    struct session *session = context;
    ssize_t got = read(HOST_IN_FD, data, sizeof data);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0 || !session->relays)
        _exit(0);
    frame_feed(&session->host, data, (size_t)got);
}

/* -- endings ----------------------------------------------------------------------------------- */

/* The first reason stands. */
static void end_as(struct session *session, const char *how, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void end_as(struct session *session, const char *how, const char *format, ...) {
    va_list arguments;
    if (session->how != NULL)
        return;
    session->how = how;
    va_start(arguments, format);
    vsnprintf(session->detail, sizeof session->detail, format, arguments);
    va_end(arguments);
}

static void end_out_of_time(struct session *session) {
    /* Else a learner whose programs end just before the limit would break the grader. */
    bool is_learners = session->until - session->learner_ended_at < GRADER_TURN_S;
    end_as(session, OUT_OF_TIME, "%s", is_learners ? "learner" : "");
}

/* -- the grader -------------------------------------------------------------------------------- */

static void read_log(void *context) {
    static char data[65536];
    struct session *session = context;
    ssize_t got = read(session->log_fd, data, sizeof data);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        watch_off(session->log_fd);
        return;
    }
    bytes_add(&session->log, data, (size_t)got);
    if (session->log.size > LOG_BYTES)
        bytes_drop_front(&session->log, session->log.size - LOG_BYTES);
}

static void attend_grader(struct session *session);

/* Takes in what the grader said; false when there was nothing. */
static bool hear_grader(struct session *session) {
    static char data[65536];
    ssize_t got = recv(session->channel, data, sizeof data, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (got <= 0) {
        session->channel_closed = true;
        watch_off(session->channel);
        return false;
    }
    frame_feed(&session->reader, data, (size_t)got);
    return true;
}

static bool grader_is_gone(struct session *session) {
    if (!session->grader_started || !session->isolation->has_ended(&session->grader))
        return false;
    /* Its last words may still be in the socket, and count. */
    return session->channel_closed || !hear_grader(session);
}

static bool is_all_sent(const struct session *session) {
    return session->sent == session->unsent.size;
}

static void send_more(struct session *session) {
    ssize_t put = send(session->channel, session->unsent.data + session->sent,
                       session->unsent.size - session->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put >= 0)
        session->sent += (size_t)put;
    else if (errno != EAGAIN && errno != EINTR)
        session->sent = session->unsent.size; /* it is gone, which the loop will notice */
    if (is_all_sent(session)) {
        bytes_free(&session->unsent);
        session->sent = 0;
    }
}

/* Poll has room for one call per descriptor, which therefore does both. */
static void grader_is_ready(void *context) {
    struct session *session = context;
    if (!is_all_sent(session))
        send_more(session);
    hear_grader(session);
    attend_grader(session);
}

/* Listens, and goes on sending where something is left. A grader that reports before it reads its
 * job is heard all the same; one that talks without end meanwhile is not. */
static void attend_grader(struct session *session) {
    short events = 0;
    if (session->reader.buffer.size <= MAX_FRAME_BYTES)
        events |= READABLE;
    if (!is_all_sent(session))
        events |= WRITABLE;
    if (session->channel_closed)
        watch_off(session->channel);
    else
        watch_on(session->channel, events, grader_is_ready, session);
}

static void send_to_grader(struct session *session, const void *body, size_t size) {
    char header[FRAME_HEADER];
    frame_header(header, size);
    bytes_add(&session->unsent, header, sizeof header);
    bytes_add(&session->unsent, body, size);
    send_more(session);
}

static bool all_is_sent_or_gone(void *context) {
    struct session *session = context;
    return is_all_sent(session) || grader_is_gone(session);
}

static void say_how_it_died(struct session *session) {
    struct failure failure;
    if (!session->isolation->end(&session->grader, now() + KILL_PATIENCE_S, &failure)) {
        end_as(session, PLATFORM, "%s", failure.detail);
        return;
    }
    bool out_of_memory = session->grader.code == 128 + SIGKILL &&
                         session->isolation->killed_for_memory(&session->grader);
    end_as(session, GRADER_EXITED, "the grader exited with status %d before it said `done`%s",
           session->grader.code, out_of_memory ? "; it ran out of memory" : "");
    session->grader_started = false;
}

/* A learner's program can make itself look smaller to the kernel than the grader, which then dies
 * for what the learner took. It was waiting for its answer, and took nothing. */
static bool grader_was_starved(struct session *session) {
    if (!session->grader_started || !session->isolation->memory_is_shared)
        return false;
    watch_reap();
    const struct child *process = session->isolation->process(&session->grader);
    return process->ended && shell_code(process->status) == 128 + SIGKILL &&
           session->isolation->killed_for_memory(&session->grader);
}

/* -- what it asks for -------------------------------------------------------------------------- */

static void run_learner(struct session *session, const struct program *program) {
    struct bytes ran = {0};
    struct failure failure;
    switch (execute(program, session->isolation, session->until, &ran, &failure)) {
    case EXECUTED:
        break;
    case EXECUTED_TOO_LATE:
        end_as(session, OUT_OF_TIME, "learner");
        break;
    case EXECUTED_NO_SPACE:
        end_as(session, GRADER_BROKE_PROTOCOL, "the files of a run do not fit: %s", failure.detail);
        break;
    case EXECUTED_FAILED:
        end_as(session, PLATFORM, "%s", failure.detail);
        break;
    }
    session->learner_ended_at = now();
    if (session->how == NULL && grader_was_starved(session))
        end_as(session, OUT_OF_MEMORY, "%s", "");
    if (session->how == NULL) {
        send_to_grader(session, ran.data, ran.size);
        tell_learner_active(false);
    }
    bytes_free(&ran);
}

struct awaited {
    struct session *session;
    struct frame frame;
    enum frame_result result;
    char problem[MESSAGE_BYTES];
};

static bool host_has_answered(void *context) {
    struct awaited *awaited = context;
    awaited->result = frame_next(&awaited->session->host, &awaited->frame, awaited->problem);
    return awaited->result != FRAME_NONE;
}

/* The learner's container is the host's affair; its answer goes to the grader as it is. */
static void relay_run(struct session *session, const struct frame *frame) {
    struct awaited awaited = {.session = session};
    send_to_host(frame->body, frame->size);
    if (!watch_until(host_has_answered, &awaited, session->until)) {
        end_as(session, OUT_OF_TIME, "learner");
        return;
    }
    session->learner_ended_at = now();
    tell_learner_active(false);
    bool is_answer = awaited.result == FRAME_WHOLE && frame_is(&awaited.frame, "ran");
    if (is_answer)
        send_to_grader(session, awaited.frame.body, awaited.frame.size);
    else
        end_as(session, PLATFORM, "the host answered a run with something else");
    if (awaited.result == FRAME_WHOLE)
        frame_free(&awaited.frame);
}

static void obey_run(struct session *session, const struct frame *frame) {
    static struct program program;
    /* One answer at a time; it may also not have taken its job yet. */
    if (!watch_until(all_is_sent_or_gone, session, session->until)) {
        end_out_of_time(session);
        return;
    }
    const char *problem = program_read(&program, &frame->json, &session->limits);
    if (problem != NULL) {
        end_as(session, GRADER_BROKE_PROTOCOL, "run: %s", problem);
    } else {
        /* The host must know who was busy if all of us die together. */
        tell_learner_active(true);
        watch_off(session->channel);
        if (session->relays)
            relay_run(session, frame);
        else
            run_learner(session, &program);
        attend_grader(session);
    }
    program_free(&program);
}

static void obey(struct session *session, const struct frame *frame) {
    if (frame_is(frame, "run")) {
        obey_run(session, frame);
    } else if (frame_is(frame, "tests") || frame_is(frame, "report")) {
        send_to_host(frame->body, frame->size);
    } else if (frame_is(frame, "done") || frame_is(frame, "fail")) {
        send_to_host(frame->body, frame->size);
        end_as(session, FINISHED, "%s", "");
    } else {
        const struct json_node *type =
            &frame->json.nodes[json_member(&frame->json, 0, "type")];
        end_as(session, GRADER_BROKE_PROTOCOL, "unknown frame type '%.*s'",
               type->size < 60 ? (int)type->size : 60, frame->body + type->start);
    }
}

static void obey_pending(struct session *session) {
    while (session->how == NULL) {
        struct frame frame;
        char problem[MESSAGE_BYTES];
        switch (frame_next(&session->reader, &frame, problem)) {
        case FRAME_NONE:
            return;
        case FRAME_WRONG:
            end_as(session, GRADER_BROKE_PROTOCOL, "%s", problem);
            return;
        case FRAME_WHOLE:
            obey(session, &frame);
            frame_free(&frame);
        }
    }
}

/* -- the whole --------------------------------------------------------------------------------- */

static void start_grader(struct session *session) {
    const struct json *json = &session->start->json;
    struct failure failure = {0};
    int ends[2], log_write_fd;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        give_up("no socket: %s", strerror(errno));
    session->channel = ends[0];
    make_pipe(&session->log_fd, &log_write_fd);
    fcntl(session->log_fd, F_SETFL, O_NONBLOCK);
    struct grader grader = {.json = json,
                            .files = json_member(json, 0, "files"),
                            .job = json_member(json, 0, "job"),
                            .channel_fd = ends[1],
                            .log_fd = log_write_fd};
    watch_on(session->log_fd, READABLE, read_log, session);
    session->grader_started =
        session->isolation->start_grader(&session->grader, &grader, &failure);
    close(ends[1]);
    close(log_write_fd);
    if (!session->grader_started)
        end_as(session, failure.kind == START_FAILED ? PLATFORM : GRADER_UNUSABLE, "%s",
               failure.detail);
}

static void send_job(struct session *session) {
    const struct json *json = &session->start->json;
    const struct json_node *job = &json->nodes[json_member(json, 0, "job")],
                           *limits = &json->nodes[json_member(json, 0, "limits")];
    struct bytes body = {0};
    bytes_add_text(&body, "{\"type\":\"job\",\"job\":");
    bytes_add(&body, json->text + job->start, job->size);
    bytes_add_text(&body, ",\"limits\":");
    bytes_add(&body, json->text + limits->start, limits->size);
    bytes_add_text(&body, "}");
    send_to_grader(session, body.data, body.size);
    bytes_free(&body);
}

static void converse(struct session *session) {
    start_grader(session);
    if (session->how != NULL)
        return;
    send_job(session);
    frame_free(session->start);
    attend_grader(session);
    while (session->how == NULL) {
        obey_pending(session);
        if (session->how != NULL)
            return;
        if (grader_is_gone(session))
            say_how_it_died(session);
        else if (now() >= session->until)
            end_out_of_time(session);
        else
            watch_step(session->until);
    }
}

static void tell_end(struct session *session) {
    struct bytes body = {0};
    bytes_format(&body, "{\"type\":\"ended\",\"how\":\"%s\",\"detail\":", session->how);
    json_add_string(&body, session->detail, strlen(session->detail));
    bytes_add_text(&body, ",\"log\":\"");
    base64_encode(&body, session->log.data, session->log.size);
    bytes_add_text(&body, "\"}");
    send_to_host(body.data, body.size);
    bytes_free(&body);
}

/* No process of the run is left when the host hears that it is over. */
static bool end_everything(struct session *session) {
    struct failure failure;
    double until = now() + KILL_PATIENCE_S;
    bool ended =
        !session->grader_started || session->isolation->end(&session->grader, until, &failure);
    if (session->isolation->end_all != NULL)
        ended = session->isolation->end_all(until, &failure) && ended;
    watch_off(session->channel);
    watch_off(session->log_fd);
    read_log(session);
    return ended;
}

bool hold_session(struct frame *start, const struct isolation *isolation, bool relays) {
    static struct session session;
    const struct json *json = &start->json;
    session = (struct session){.start = start,
                               .isolation = isolation,
                               .relays = relays,
                               .reader = {.most = MAX_FRAME_BYTES},
                               .host = {.most = MAX_FRAME_BYTES},
                               .learner_ended_at = -INFINITY};
    if (!frame_is(start, "start") || json_member(json, 0, "job") == 0 ||
        json_member(json, 0, "files") == 0 ||
        !limits_read(&session.limits, json, json_member(json, 0, "limits")))
        give_up("the start frame is not complete");
    session.until = now() + session.limits.wall_s;
    watch_on(HOST_IN_FD, READABLE, hear_host, &session);
    converse(&session);
    bool clean = end_everything(&session);
    watch_off(HOST_IN_FD);
    tell_end(&session);
    return clean && strcmp(session.how, PLATFORM) != 0;
}

void serve_runs(const struct frame *start, const struct isolation *isolation) {
    static struct program program;
    struct limits limits;
    struct frame frame;
    char problem[MESSAGE_BYTES];
    if (!limits_read(&limits, &start->json, json_member(&start->json, 0, "limits")))
        give_up("the start frame is not complete");
    while (frame_read(HOST_IN_FD, MAX_FRAME_BYTES, &frame, problem) == FRAME_WHOLE) {
        struct bytes ran = {0};
        struct failure failure = {.kind = START_FAILED};
        const char *wrong = program_read(&program, &frame.json, &limits);
        if (wrong != NULL)
            give_up("a run frame: %s", wrong);
        if (execute(&program, isolation, INFINITY, &ran, &failure) != EXECUTED)
            give_up("%s", failure.detail);
        send_to_host(ran.data, ran.size);
        bytes_free(&ran);
        program_free(&program);
        frame_free(&frame);
    }
}
