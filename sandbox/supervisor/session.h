/* The conversations a supervisor holds. */
#ifndef XQ_SESSION_H
#define XQ_SESSION_H

#include "isolation.h"

#define HOST_IN_FD 0
#define HOST_OUT_FD 1

/* One grader, one submission (`start` is freed): start the grader, run learner programs for it,
 * pass its reports on, tell the host how it ended. `relays` leaves the learner's programs to the
 * host. False when the platform failed. */
bool hold_session(struct frame *start, const struct isolation *isolation, bool relays);

/* Executes the host's `run` frames, until the host has gone or something broke. */
void serve_runs(const struct frame *start, const struct isolation *isolation);

/* `{"type": TYPE}`; ends us when the host has gone. */
void say_to_host(const char *type);
void send_to_host(const void *body, size_t size);
/* The first frame; ends us when the host has gone. */
void await_start(struct frame *start);

#endif
