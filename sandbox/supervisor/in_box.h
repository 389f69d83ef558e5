/* The insides of bubblewrap boxes: their first processes, and what those are told. */
#ifndef XQ_IN_BOX_H
#define XQ_IN_BOX_H

#include "program.h"

enum order_kind { ORDER_RUN = 'r', ORDER_KILL = 'k', ORDER_COLLECT = 'c' };

/* One packet on ORDERS_FD, between two processes of one binary. */
struct order {
    enum order_kind kind;
    struct limits limits;
    uint64_t processes;     /* as in struct learner_start */
    uint64_t address_space;
};

/* Descriptors that come with an order to run, or (the first two) to collect. */
enum { ORDER_FRAME_FD, ORDER_REPORT_FD, ORDER_STDIO_FD, ORDER_FDS = ORDER_STDIO_FD + 3 };
/* Where a collected file goes takes the report's place. */

/* The most of what is told about a program's end: its code, and its processor time in seconds. */
#define END_BYTES 32

/* `xq --place PYTHON`: files and job as JSON on stdin; becomes the grader. */
noreturn void first_of_graders_box(const char *python);
/* `xq --box PYTHON`: starts programs as it is told, one after the other, in one box. */
noreturn void first_of_learners_box(const char *python);

#endif
