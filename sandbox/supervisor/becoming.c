/* The last steps of a forked child: leave what we have, find its files, become its program. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "isolation.h"
#include "layout.h"

static char *const NO_ENV[] = {NULL};

static void enter_box(const struct program *program) {
    /* A program before may have closed it. */
    if (chmod(BOX_DIR, 0700) < 0 || chdir(BOX_DIR) < 0)
        not_become(START_FAILED, "no " BOX_DIR);
    if (!program->keep) {
        empty_folder(BOX_DIR);
        empty_folder(LEARNER_TMP_DIR);
    }
    place_program_files(program);
}

void become_learner(void *context) {
    const struct learner_start *start = context;
    const struct program *program = start->program;
    char found[MESSAGE_BYTES];
    if (program->unspeakable && !start->only_place)
        not_become(START_BAD_ARGUMENTS, "an argument is not text without zero bytes");
    if (start->oom_score > 0)
        set_oom_score(start->oom_score);
    if (!start->only_place)
        arrange_descriptors(start->stdio, 3);
    apply_learner_limits(&program->bounds);
    if (start->processes > 0)
        set_limit(RLIMIT_NPROC, start->processes);
    if (start->address_space > 0)
        set_limit(RLIMIT_AS, start->address_space);
    /* Looked for as root or not, these folders are the same for all. */
    const char *path = program_path(program->argv[0], found);
    if (start->python != NULL && strcmp(program->argv[0], "python3") == 0)
        path = start->python;
    if (start->uid != 0)
        become_uid(start->uid);
    enter_box(program);
    /* With an empty environment an interpreter finds itself by this alone. */
    ((char **)program->argv)[0] = (char *)path;
    if (!start->only_place)
        exec_program(path, program->argv, program->env[0] != NULL ? program->env : NO_ENV);
}

static bool grader_is_executable(void) { return access(GRADE_DIR "/grade", X_OK) == 0; }

bool grader_is_python(void) {
    return !grader_is_executable() && access(GRADE_DIR "/grade.py", R_OK) == 0;
}

void become_placed_grader(const struct grader *grader, const char *python) {
    char found[MESSAGE_BYTES];
    if (chdir(GRADE_DIR) < 0)
        not_become_errno(GRADE_DIR);
    if (grader_is_executable()) {
        place_job_files(grader->json, grader->job);
        exec_program(GRADE_DIR "/grade", (char *[]){GRADE_DIR "/grade", NULL}, GRADER_ENV);
    }
    if (!grader_is_python())
        not_become(START_MISSING,
                   "no executable `grade` and no `grade.py` in the grader's directory");
    const char *path = python != NULL ? python : program_path("python3", found);
    char *const argv[] = {(char *)path, "-s", GRADE_DIR "/grade.py", NULL};
    exec_program(path, argv, GRADER_ENV);
}
