/* Parts of `isolation_by_container` that the inside of a learner's box uses as well. */
#ifndef XQ_BY_CONTAINER_H
#define XQ_BY_CONTAINER_H

#include "isolation.h"

/* Kills every other process of our pid namespace; false when some would not go in time. Those that
 * are dying may still be there: they do nothing any more. */
bool clear_container(double until);
bool collect_from_here(const struct program *program, int fd, struct failure *failure);

#endif
