/* A way of keeping the grader, the learner's code and the supervisor apart. */
#ifndef XQ_ISOLATION_H
#define XQ_ISOLATION_H

#include "start.h"
#include "watch.h"

#define KILL_PATIENCE_S 5.0

/* One started program together with everything it may start itself. */
struct cell {
    struct child child;
    bool is_learners;
    bool over;        /* nothing of it is left */
    int code;         /* 0-255 or 128 + signal; once it is over */
    long kills_before;
    double cpu_before_s;
    double cpu_s; /* processor time of all of a learner's program; once it is over */
};

/* What came of making room for a program. */
enum made_room {
    ROOM,
    ROOM_TOO_LATE, /* the time ended first */
    ROOM_FAILED,   /* the platform's failure */
};

/* What a grader is started with. */
struct grader {
    const struct json *json; /* of the start frame */
    uint32_t files;
    uint32_t job;
    int channel_fd;
    int log_fd;
};

struct isolation {
    /* Whether grader and learner draw on one memory limit. */
    bool memory_is_shared;
    /* Whether files that do not fit are told to the grader, who is elsewhere, in an answer. */
    bool answers_no_space;
    bool (*start_grader)(struct cell *cell, const struct grader *grader, struct failure *failure);
    /* Sees off what earlier programs left, at most until then. */
    enum made_room (*make_room)(const struct program *program, double until,
                                struct failure *failure);
    /* On three pipes and nothing else. */
    bool (*start_learner)(struct cell *cell, const struct program *program, const int stdio[3],
                          struct failure *failure);
    bool (*has_ended)(const struct cell *cell);
    /* The child of ours that a cell's program is, or is below of. */
    const struct child *(*process)(const struct cell *cell);
    /* Kill all of it and wait until none of it can do anything; false (the platform's failure) if
     * some still can. What the kernel then has to free, nobody waits for. */
    bool (*end)(struct cell *cell, double until, struct failure *failure);
    /* Whether the kernel killed some of it because memory ran out. Only once it has ended. */
    bool (*killed_for_memory)(const struct cell *cell);
    /* Begin to send the files a program left, as `send_collected` does, into `fd`. */
    bool (*collect)(const struct program *program, int fd, struct failure *failure);
    /* At the end of a run: nothing of any program is left. NULL where PID 1's end sees to that. */
    bool (*end_all)(double until, struct failure *failure);
};

/* Three uids in one container whose PID 1 we are. Gives up when /box is not the learner's. */
const struct isolation *isolation_by_uid(void);
/* Programs with our own uid, all of a container's or box's processes but us (PID 1). */
const struct isolation *isolation_by_container(void);
/* bubblewrap boxes, as a start frame's `isolation` says. Gives up when that is not complete. */
const struct isolation *isolation_by_box(const struct json *json, const struct limits *limits);

/* Of boxes in which nothing ran any more: whether the kernel has freed them all by then. */
bool await_remains_of_boxes(double until);

/* What all of them do in a child that is to become a learner's program. */
struct learner_start {
    const struct program *program;
    const int *stdio;
    uid_t uid;               /* 0: stay who we are */
    uint64_t processes;      /* of the uid; 0: no such limit */
    uint64_t address_space;  /* of each process; 0: no such limit */
    const char *python;      /* what `python3` means; NULL: as found */
    int oom_score;           /* 0: leave it */
    bool only_place;         /* put the files into place and end */
};
void become_learner(void *context);
/* In a child that may do so: place the files and become the grader. `python` as above. False when
 * it would be `grade.py` and `may_exec_python` is not: then nothing but placing was done. */
void become_placed_grader(const struct grader *grader, const char *python);
bool grader_is_python(void);

#endif
