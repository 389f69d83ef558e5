/* Walks an image as the user it runs as, and tells what a learner could reach of a grader.
 *
 *   xq readable FIRST LAST PATH...
 *
 * For each path, and for everything below it that is open to us: whether it can be read, listed,
 * entered or executed, by us or by any user whose number (and group's) is from FIRST to LAST, which
 * learners get. Then, in the whole image, files that would make whoever executes them the grader.
 *
 * One JSON object per line: {"path", "how"}; {"walked": N} is the last line of a walk that saw all
 * there was to see. Nothing is judged by modes that can be tried instead.
 */
#include "readable.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "frames.h"
#include "json.h"
#include "layout.h"

#define MOST_FINDINGS 100
#define MOST_DEPTH 200
#define PATH_BYTES 4096

static unsigned long first_learner, last_learner;
static unsigned long seen, findings;

static void tell(const char *path, const char *how) {
    struct bytes line = {0};
    if (findings++ >= MOST_FINDINGS)
        return;
    bytes_add_text(&line, "{\"path\":");
    json_add_string(&line, path, strlen(path));
    bytes_format(&line, ",\"how\":\"%s\"}\n", how);
    if (!write_all(STDOUT_FILENO, line.data, line.size))
        give_up("nobody listens");
    bytes_free(&line);
}

static bool is_learners(unsigned long number) {
    return number >= first_learner && number <= last_learner;
}

static bool can(const char *path, int mode) {
    return faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0;
}

static bool can_open(const char *path, int flags) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* What the path itself lets us do, and would let a learner with other numbers do. */
static void try_path(const char *path, const struct stat *about) {
    bool is_folder = S_ISDIR(about->st_mode), is_file = S_ISREG(about->st_mode);
    if (is_folder || is_file ? can_open(path, is_folder ? O_DIRECTORY : 0) : can(path, R_OK))
        tell(path, is_folder ? "list" : "read");
    if (can(path, X_OK))
        tell(path, is_folder ? "enter" : "execute");
    if (about->st_mode & S_IRWXG && is_learners(about->st_gid))
        tell(path, "group");
    if (about->st_mode & S_IRWXU && is_learners(about->st_uid))
        tell(path, "owner");
}

static bool makes_grader(const struct stat *about) {
    return S_ISREG(about->st_mode) &&
           ((about->st_mode & S_ISUID && about->st_uid == GRADER_UID) ||
            (about->st_mode & S_ISGID && about->st_gid == GRADER_UID));
}

static bool is_folder_itself(const char *name) {
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

typedef void visit_call(const char *path, const struct stat *about);

/* Everything below, on this file system alone; links are not followed. */
static void walk(const char *path, dev_t device, int depth, visit_call *visit) {
    struct dirent *entry;
    struct stat about;
    char inner[PATH_BYTES];
    if (depth > MOST_DEPTH)
        give_up("folders are nested too deeply: %s", path);
    DIR *folder = opendir(path);
    if (folder == NULL) {
        if (errno != EACCES && errno != ENOENT)
            give_up("%s: %s", path, strerror(errno));
        return;
    }
    while ((entry = readdir(folder)) != NULL) {
        if (is_folder_itself(entry->d_name))
            continue;
        const char *slash = strcmp(path, "/") == 0 ? "" : "/";
        if (snprintf(inner, sizeof inner, "%s%s%s", path, slash, entry->d_name) >= PATH_BYTES)
            give_up("a path is too long: %s", path);
        if (lstat(inner, &about) < 0)
            continue; /* listed, but not to be entered: `path` has been told */
        seen++;
        /* Of other things than folders, overlay file systems give other numbers. */
        bool is_here = !S_ISDIR(about.st_mode) || about.st_dev == device;
        if (is_here && !S_ISLNK(about.st_mode))
            visit(inner, &about);
        if (S_ISDIR(about.st_mode) && is_here)
            walk(inner, device, depth + 1, visit);
    }
    closedir(folder);
}

static void tell_what_makes_grader(const char *path, const struct stat *about) {
    if (makes_grader(about))
        tell(path, "setuid");
}

/* A link is followed: its target is what the learner would get. */
static void try_declared(const char *path) {
    struct stat about;
    if (path[0] != '/')
        give_up("not an absolute path: %s", path);
    if (stat(path, &about) < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            tell(path, "missing");
        else if (errno != EACCES)
            give_up("%s: %s", path, strerror(errno));
        return;
    }
    seen++;
    try_path(path, &about);
    if (S_ISDIR(about.st_mode))
        walk(path, about.st_dev, 0, try_path);
}

static unsigned long read_number(const char *text) {
    char *end;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0')
        give_up("not the number of a user: %s", text);
    return number;
}

/* Whoever has more rights than a learner would call open what is not, or worse. */
static void require_no_rights(void) {
    gid_t groups[2];
    int count = getgroups(2, groups);
    if (geteuid() == 0 || getuid() == 0 || getegid() == 0 || !is_learners(geteuid()) ||
        count < 0 || count > 1 || (count == 1 && groups[0] != getegid()))
        give_up("to be run as a user that nothing belongs to, without further groups");
}

int tell_readable(int count, char **words) {
    struct stat root;
    char last[64];
    if (count < 4)
        give_up("xq readable FIRST LAST PATH...");
    first_learner = read_number(words[1]);
    last_learner = read_number(words[2]);
    require_no_rights();
    for (int at = 3; at < count; at++)
        try_declared(words[at]);
    if (stat("/", &root) < 0)
        give_up("no /");
    walk("/", root.st_dev, 0, tell_what_makes_grader);
    int size = snprintf(last, sizeof last, "{\"walked\":%lu}\n", seen);
    return write_all(STDOUT_FILENO, last, (size_t)size) ? 0 : 1;
}
