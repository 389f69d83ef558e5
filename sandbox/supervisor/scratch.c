/* Scratch folders: mounted as root where we are root, and else in a user namespace of their own. */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "start.h"

/* A folder that every host and container has, and of which no box sees anything. */
#define STAGE "/sys"

void scratch_source(char source[SCRATCH_PATH_BYTES], const struct scratch *scratch) {
    snprintf(source, SCRATCH_PATH_BYTES, STAGE "%s", scratch->path);
}

static void mount_tmpfs(const char *path, const char *limits, uid_t uid) {
    char options[128];
    snprintf(options, sizeof options, "mode=0700,uid=%u,gid=%u,%s", uid, uid, limits);
    if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
        not_become_errno(path);
}

/* Nothing of it reaches whoever has the mounts that ours are a copy of. */
static void mount_all(const struct scratch *all, size_t count, uid_t uid) {
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        not_become_errno("mounts of its own");
    mount_tmpfs(STAGE, "size=4096,nr_inodes=8", uid);
    for (size_t i = 0; i < count; i++) {
        char source[SCRATCH_PATH_BYTES], limits[64];
        scratch_source(source, &all[i]);
        snprintf(limits, sizeof limits, "size=%.0f,nr_inodes=%u", all[i].bytes, all[i].files);
        if (mkdir(source, 0700) < 0)
            not_become_errno(source);
        mount_tmpfs(source, limits, uid);
    }
}

static void leave_root(uid_t uid) {
    if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
        not_become(START_FAILED, "another uid is refused");
}

static void write_own(const char *path, const char *text) {
    int fd = must_open(path, O_WRONLY);
    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        not_become_errno(path);
    close(fd);
}

/* A user namespace in which we are who we were, and may mount. */
static void become_mounter(void) {
    char uid_map[64], gid_map[64];
    uid_t uid = geteuid();
    gid_t gid = getegid();
    snprintf(uid_map, sizeof uid_map, "%u %u 1", uid, uid);
    snprintf(gid_map, sizeof gid_map, "%u %u 1", gid, gid);
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        not_become_errno("a user namespace");
    /* The maps of an undumpable process are root's. bubblewrap is dumpable from its start. */
    prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    write_own("/proc/self/setgroups", "deny");
    write_own("/proc/self/uid_map", uid_map);
    write_own("/proc/self/gid_map", gid_map);
}

void open_scratch(const struct scratch *all, size_t count, long uid) {
    /* Root of a container need not be allowed to. */
    bool as_root = uid != NO_UID && unshare(CLONE_NEWNS) == 0;
    if (as_root)
        mount_all(all, count, (uid_t)uid);
    if (uid != NO_UID)
        leave_root((uid_t)uid);
    if (!as_root) {
        become_mounter();
        mount_all(all, count, geteuid());
    }
}
