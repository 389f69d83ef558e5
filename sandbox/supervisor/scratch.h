/* The writable folders of a bubblewrap box, with a limit of files.
 *
 * bubblewrap's own --tmpfs takes a size only. So ours are mounted before bubblewrap starts, where
 * nobody else sees them, and it binds them into the box.
 */
#ifndef XQ_SCRATCH_H
#define XQ_SCRATCH_H

#include <stddef.h>

struct scratch {
    const char *path; /* in the box: a folder of its root */
    double bytes;
    unsigned files; /* and folders and links */
};

/* No other user: of one who is not root to begin with. */
#define NO_UID ((long)-1)

/* In a child that becomes bubblewrap: gives it mounts of its own with these folders, and makes it
 * that user, whose they are, without other groups. */
void open_scratch(const struct scratch *all, size_t count, long uid);
#define SCRATCH_PATH_BYTES 64
/* Where it is before it is bound. */
void scratch_source(char source[SCRATCH_PATH_BYTES], const struct scratch *scratch);

#endif
