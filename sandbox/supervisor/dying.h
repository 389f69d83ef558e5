/* Whether processes that do not go away can still do anything. */
#ifndef XQ_DYING_H
#define XQ_DYING_H

#include <stdbool.h>
#include <sys/types.h>

#include "watch.h"

/* The parent of a process of our pid namespace, -1 when there is no such process. */
pid_t parent_of(pid_t pid);

/* Whether a process and all below it are on their way out: none of their threads will ever execute
 * an instruction of its program again, and what is left is work of the kernel. False when that
 * cannot be seen, or `top` is gone. What forks while we look may be missed: look twice. */
bool tree_is_dying(pid_t top);

/* The same of one, and of all of a real uid or all but ourselves. */
#define ANY_UID ((long)-1)
bool process_is_dying(pid_t pid);
bool all_are_dying(long uid);
/* Nobody but zombies. */
bool nobody_lives_as(uid_t uid);

/* What is left of killed processes. */
enum left {
    LEFT_NONE,
    LEFT_DYING, /* none of them can do anything, but the kernel is still at work */
    LEFT_ALIVE,
};

typedef bool strike_call(void *context);

/* Strikes until it is over, or all that is left is dying: for that nobody waits long. `LEFT_ALIVE`
 * at `until`, or when a strike fails. A strike has to reach all of them, so that none of them can
 * fork after it: then one look is enough. */
enum left see_off(strike_call *strike, watch_condition *is_over, watch_condition *is_dying,
                  void *context, double until);

#endif
