/* Where things are inside a container or box. `layout.py` says the same to the host. */
#ifndef XQ_LAYOUT_H
#define XQ_LAYOUT_H

#define GRADER_UID 10001
#define GRADE_DIR "/grade"
#define LIBRARY_DIR "/grade/.xqueue"
#define SCRATCH_DIR "/scratch"
#define BOX_DIR "/box"
#define LEARNER_TMP_DIR "/tmp"
#define XQ_PATH "/xq/xq"
#define PYTHON_HOST_DIR "/xq" /* `host.py` is in it */

/* Where a grader finds its socket to the supervisor. */
#define CHANNEL_FD 3
/* Where the first process of a grader's box tells why it could not become the grader. */
#define REPORT_FD 4
/* Where the first process of a learner's box takes its orders. */
#define ORDERS_FD 3

/* Room for a directory grader's files, which are at most a third of it. */
#define GRADE_BYTES (48 * 1024 * 1024)
/* As many as a directory grader has files and folders, and the library's. */
#define GRADE_FILES 20000
/* Files, folders and links in each of the other writable folders. */
#define MOST_FILES 2000
/* bubblewrap itself, the first process of the box, and the program. */
#define BOX_OVERHEAD_PIDS 3

#endif
