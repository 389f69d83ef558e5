/* One execution of the learner's program: feeds it, captures it, stops it at its limits. */
#ifndef XQ_EXECUTE_H
#define XQ_EXECUTE_H

#include "isolation.h"

enum executed {
    EXECUTED,          /* `ran` holds the answer for the grader */
    EXECUTED_TOO_LATE, /* the whole run's time ended first */
    EXECUTED_NO_SPACE, /* its files do not fit: the grader's fault */
    EXECUTED_FAILED,   /* it could not be started or not be killed: the platform's failure */
};

/* Runs it to its end or to its first limit, and leaves no process of it. */
enum executed execute(const struct program *program, const struct isolation *isolation,
                      double run_until, struct bytes *ran, struct failure *failure);

#endif
