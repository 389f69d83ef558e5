/* One Python started before any job (`/xq/host.py`), of which graders and learners' programs are
 * forks: so nobody waits for an interpreter to start. It never sees tests, answers or the job. */
#ifndef XQ_PYTHON_HOST_H
#define XQ_PYTHON_HOST_H

#include "isolation.h"

/* Starts it where the image has both it and a Python. */
void python_host_start(void);
bool python_host_runs(void);
/* Whether a fork of it can be this program: `python3 -I SCRIPT ...` with an empty environment. */
bool python_host_can_run(const struct program *program);

/* The pid of a child of ours, or -1. The files are in place already. */
pid_t python_host_start_grader(const struct grader *grader, struct failure *failure);
pid_t python_host_start_learner(const struct program *program, const int stdio[3], uid_t uid,
                                struct failure *failure);

#endif
