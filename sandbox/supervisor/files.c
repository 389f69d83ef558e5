/* Files inside a container or box. */
#include "files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base64.h"
#include "layout.h"

/* A folder that needs more rounds than this is being filled while we empty it. */
#define MOST_ROUNDS 1000000
#define PATH_BYTES 4096

static bool write_new_file(const char *path, const void *data, size_t size, mode_t mode) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return false;
    bool written = write_all(fd, data, size);
    int error = errno;
    close(fd);
    errno = error;
    return written;
}

/* -- the grader's ------------------------------------------------------------------------------ */

static void make_folders(char *path) {
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
            not_become_errno(path);
        *slash = '/';
    }
}

static void place_grader_file(const char *top, const struct json *json, uint32_t entry) {
    uint32_t name = json_member(json, entry, "path"), content = json_member(json, entry, "content"),
             executable = json_member(json, entry, "executable");
    struct bytes path = {0}, text = {0}, data = {0};
    if (name == 0 || !json_is_kind(json, name, JSON_STRING) || content == 0 ||
        !json_is_kind(json, content, JSON_STRING))
        not_become(START_FAILED, "a grader file without path or content");
    bytes_add_text(&path, top);
    bytes_add_text(&path, "/");
    /* A name that is no UTF-8 came as half a surrogate pair, and has no name here. */
    if (!json_decode(json, name, &path) || memchr(path.data, '\0', path.size) != NULL)
        not_become(START_BAD_ARGUMENTS, "a grader file whose name is not text");
    json_decode(json, content, &text);
    if (!base64_decode(&data, text.data, text.size))
        not_become(START_FAILED, "a grader file whose content is not base64");
    make_folders(path.data);
    bool may_run = executable != 0 && json_is_kind(json, executable, JSON_TRUE);
    if (!write_new_file(path.data, data.data, data.size, may_run ? 0700 : 0600))
        not_become_errno(path.data);
    bytes_free(&path);
    bytes_free(&text);
    bytes_free(&data);
}

void place_grader_files(const char *top, const struct json *json, uint32_t list) {
    if (list == 0 || !json_is_kind(json, list, JSON_ARRAY))
        not_become(START_FAILED, "the grader's files are not a list");
    for (uint32_t entry = list + 1; entry < json->nodes[list].next; entry = json->nodes[entry].next)
        place_grader_file(top, json, entry);
}

static void place_or_leave_out(const char *path, const void *data, size_t size) {
    if (!write_new_file(path, data, size, 0600))
        unlink(path);
}

/* Text, or `{"base64": text}` for a file that is none. */
static bool read_upload(const struct json *json, uint32_t node, struct bytes *into) {
    uint32_t packed = json_member(json, node, "base64");
    if (json_is_kind(json, node, JSON_STRING)) {
        json_decode(json, node, into);
        return true;
    }
    if (packed == 0 || !json_is_kind(json, packed, JSON_STRING))
        return false;
    struct bytes text = {0};
    json_decode(json, packed, &text);
    bool right = base64_decode(into, text.data, text.size);
    bytes_free(&text);
    return right;
}

static void place_upload(const struct json *json, uint32_t key) {
    struct bytes name = {0}, content = {0};
    json_decode(json, key, &name);
    if (is_plain_name(name.data, name.size) && read_upload(json, key + 1, &content)) {
        char path[sizeof SCRATCH_DIR "/files/" + MAX_NAME];
        snprintf(path, sizeof path, SCRATCH_DIR "/files/%s", name.data);
        place_or_leave_out(path, content.data, content.size);
    }
    bytes_free(&name);
    bytes_free(&content);
}

void place_job_files(const struct json *json, uint32_t job) {
    chmod(SCRATCH_DIR, 0700); /* runc gives a tmpfs the mode of the image's folder, not its own */
    uint32_t response = json_member(json, job, "response"), files = json_member(json, job, "files");
    const struct json_node *whole = &json->nodes[job];
    if (response != 0 && json_is_kind(json, response, JSON_STRING)) {
        struct bytes text = {0};
        json_decode(json, response, &text);
        place_or_leave_out(SCRATCH_DIR "/response", text.data, text.size);
        bytes_free(&text);
    }
    if (mkdir(SCRATCH_DIR "/files", 0700) == 0 && files != 0 &&
        json_is_kind(json, files, JSON_OBJECT))
        for (uint32_t key = files + 1; key < json->nodes[files].next;
             key = json->nodes[key + 1].next)
            place_upload(json, key);
    place_or_leave_out(SCRATCH_DIR "/job.json", json->text + whole->start, whole->size);
}

/* -- the learner's ----------------------------------------------------------------------------- */

/* Random, because whatever could be foreseen could be there already. */
static void move_out_of_the_way(const char *from, const char *top) {
    unsigned char random[16];
    char to[PATH_BYTES];
    if (getrandom(random, sizeof random, 0) != sizeof random)
        not_become(START_FAILED, "no randomness");
    int size = snprintf(to, sizeof to, "%s/", top);
    for (size_t i = 0; i < sizeof random; i++)
        size += snprintf(to + size, sizeof to - (size_t)size, "%02x", random[i]);
    if (rename(from, to) < 0)
        not_become_errno("rename");
}

void place_program_files(const struct program *program) {
    for (size_t i = 0; i < program->file_count; i++) {
        const struct file *file = &program->files[i];
        if (program->keep && unlink(file->name) < 0 && errno != ENOENT) {
            chmod(file->name, 0700);
            move_out_of_the_way(file->name, ".");
        }
        /* Any of them may be the program, or be executed by it. */
        if (!write_new_file(file->name, file->content.data, file->content.size, 0700))
            not_become_errno(file->name);
    }
}

static bool is_folder_itself(const char *name) {
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static DIR *open_folder(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (folder == NULL)
        not_become_errno(path);
    return folder;
}

static void join_path(char path[PATH_BYTES], const char *folder, const char *name) {
    if (snprintf(path, PATH_BYTES, "%s/%s", folder, name) >= PATH_BYTES)
        not_become(START_FAILED, "a path that is too long");
}

/* Removes a folder whose own folders first become neighbours of it: no walk, no depth. */
static void flatten_folder(const char *top, const char *path) {
    struct dirent *entry;
    char inner[PATH_BYTES];
    chmod(path, 0700);
    DIR *folder = open_folder(path);
    while ((entry = readdir(folder)) != NULL) {
        if (is_folder_itself(entry->d_name))
            continue;
        join_path(inner, path, entry->d_name);
        if (unlink(inner) == 0)
            continue;
        if (errno != EISDIR && errno != ENOENT)
            not_become_errno("unlink");
        /* A folder must be writable to be moved, because its `..` changes. */
        chmod(inner, 0700);
        move_out_of_the_way(inner, top);
    }
    closedir(folder);
    /* Reading while deleting may have missed some: then it is flattened again. */
    if (rmdir(path) < 0 && errno != ENOTEMPTY)
        not_become_errno("rmdir");
}

void empty_folder(const char *top) {
    struct dirent *entry;
    char path[PATH_BYTES];
    if (chmod(top, 0700) < 0)
        not_become_errno(top);
    for (long round = 0; round < MOST_ROUNDS; round++) {
        bool is_empty = true;
        DIR *folder = open_folder(top);
        while ((entry = readdir(folder)) != NULL) {
            if (is_folder_itself(entry->d_name))
                continue;
            is_empty = false;
            join_path(path, top, entry->d_name);
            if (unlink(path) == 0 || errno == ENOENT)
                continue;
            if (errno != EISDIR)
                not_become_errno("unlink");
            flatten_folder(top, path);
        }
        closedir(folder);
        if (is_empty)
            return;
    }
    not_become(START_FAILED, "a folder that does not get empty");
}

/* -- taken out --------------------------------------------------------------------------------- */

/* Only a plain file, whatever the learner put there under its name; at most `most` bytes. */
static bool read_plain_file(const char *name, size_t most, struct bytes *into, bool *too_large) {
    struct stat about;
    int fd = open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool right = fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && about.st_size >= 0;
    *too_large = right && (uint64_t)about.st_size > most;
    right = right && !*too_large;
    if (right) {
        bytes_reserve(into, (size_t)about.st_size + 1);
        right = read_exactly(fd, into->data, (size_t)about.st_size);
        into->size = (size_t)about.st_size;
    }
    close(fd);
    return right;
}

void send_collected(const struct program *program, int fd) {
    size_t left = MAX_COLLECTED_BYTES;
    for (size_t i = 0; i < program->collect_count; i++) {
        struct bytes content = {0};
        bool too_large = false;
        if (read_plain_file(program->collect[i], left, &content, &too_large) || too_large) {
            uint32_t header[2] = {(uint32_t)i, too_large ? TOO_LARGE : (uint32_t)content.size};
            left -= content.size;
            if (!write_all(fd, header, sizeof header) ||
                !write_all(fd, content.data, content.size)) /* none of one that is too large */
                _exit(1);
        }
        bytes_free(&content);
    }
}
