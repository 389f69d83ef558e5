/* What a control group tells of its memory. Groups are named by the paths of their counter files of
 * both versions of control groups; the first that can be read counts. */
#ifndef XQ_MEMORY_H
#define XQ_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

/* How often the kernel killed for memory. */
long memory_kills(const char *const *counters);

/* Bytes that are no process's own and cannot be reclaimed: files in memory, System V objects,
 * messages. The kernel frees those of a namespace some time after the last process in it has gone
 * (free_ipc in ipc/namespace.c). 0 where nothing tells. */
int64_t memory_without_owner(const char *const *counters);
/* Waits until it is little more than it was; false when the time came first. */
bool await_memory_freed(const char *const *counters, int64_t without_owner_before, double until);

/* Of a container, seen from within. */
extern const char *const CONTAINER_COUNTERS[];

#endif
