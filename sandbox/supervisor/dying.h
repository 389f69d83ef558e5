/* Whether processes that do not go away can still do anything. */
#ifndef XQ_DYING_H
#define XQ_DYING_H

#include <stdbool.h>
#include <sys/types.h>

/* The parent of a process of our pid namespace, -1 when there is no such process. */
pid_t parent_of(pid_t pid);

/* Whether a process and all below it are on their way out: none of their threads will ever execute
 * an instruction of its program again, and what is left is work of the kernel. False when that
 * cannot be seen, or `top` is gone. What forks while we look may be missed: look twice. */
bool tree_is_dying(pid_t top);

#endif
