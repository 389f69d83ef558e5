/* Files inside a container or box: put there, cleared away, taken out.
 *
 * Everything here runs in a forked child that has already become the grader or the learner, so
 * that a planted link reaches only what that uid could reach anyway. Failures end the child.
 */
#ifndef XQ_FILES_H
#define XQ_FILES_H

#include "start.h"

/* `{path, content (base64), executable}` each, below `top`. The host made the paths from a
 * directory listing; they hold no `..`. */
void place_grader_files(const char *top, const struct json *json, uint32_t list);
/* The job as files for graders without a JSON reader; what does not fit is left out. */
void place_job_files(const struct json *json, uint32_t job);
/* The learner's files into the current folder, replacing what `keep` has left there. */
void place_program_files(const struct program *program);

/* Deletes all below a folder that hostile code filled, with few descriptors at any depth. */
void empty_folder(const char *top);

/* The named plain files of the current folder, one after the other: index, size, content. One that
 * has no room among them has `TOO_LARGE` for its size and no content. */
#define TOO_LARGE UINT32_MAX
void send_collected(const struct program *program, int fd);

#endif
