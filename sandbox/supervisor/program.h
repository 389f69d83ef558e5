/* What the grader asks to be started (a `run` frame, checked) and what came of it. */
#ifndef XQ_PROGRAM_H
#define XQ_PROGRAM_H

#include "frames.h"

#define MAX_ARGUMENTS 256
#define MAX_FILES 100
#define MAX_VARIABLES 64
#define MAX_NAME 64
/* All collected files together, so that they fit into one frame as base64. */
#define MAX_COLLECTED_BYTES (4u * 1024 * 1024)

/* The limits of one run as the host gave them (the start frame's `limits`). */
struct limits {
    double wall_s;
    double learner_wall_s;
    double learner_cpu_s;
    double memory_bytes;
    double pids;
    double output_bytes;
    double scratch_bytes;
};

/* The limits of one execution. */
struct bounds {
    double wall_s;
    double cpu_s;
    size_t output_bytes;
    uint64_t memory_bytes; /* 0: nothing beside the limit of the whole box */
    uint64_t pids;
    uint64_t scratch_bytes;
};

struct file {
    char name[MAX_NAME + 1];
    struct bytes content;
};

struct program {
    char *argv[MAX_ARGUMENTS + 1];
    size_t argument_count;
    char *env[MAX_VARIABLES + 1]; /* NAME=value */
    struct bytes input;
    struct file files[MAX_FILES];
    size_t file_count;
    char collect[MAX_FILES][MAX_NAME + 1];
    size_t collect_count;
    struct bounds bounds;
    const struct limits *limits; /* what the bounds come from; not ours */
    const char *frame;           /* the text it was read from; not ours */
    size_t frame_size;
    bool keep;          /* /box stays as the run before left it */
    bool zygote;        /* a fork of the pre-started Python will do */
    bool unspeakable;   /* an argument is no text: no program can be given it */
};

/* False when the limits are not complete. */
bool limits_read(struct limits *limits, const struct json *json, uint32_t node);
/* NULL, or what is wrong with the frame. Free in both cases. */
const char *program_read(struct program *program, const struct json *json,
                         const struct limits *limits);
void program_free(struct program *program);

/* 1 to 64 of A-Z a-z 0-9 . _ - and neither `.` nor `..`. */
bool is_plain_name(const char *name, size_t size);

#endif
