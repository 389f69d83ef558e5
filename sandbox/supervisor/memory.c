#include "memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "watch.h"

/* What a grader or its supervisor may come to hold of the kernel while a program runs. */
#define LITTLE_BYTES (8 << 20)

const char *const CONTAINER_COUNTERS[] = {"/sys/fs/cgroup/memory/memory.oom_control",
                                          "/sys/fs/cgroup/memory.events", NULL};

long memory_kills(const char *const *paths) {
    for (; *paths != NULL; paths++) {
        FILE *file = fopen(*paths, "re");
        char line[128];
        long kills = 0;
        if (file == NULL)
            continue;
        while (fgets(line, sizeof line, file) != NULL)
            if (strncmp(line, "oom_kill ", 9) == 0)
                kills += strtol(line + 9, NULL, 10);
        fclose(file);
        return kills;
    }
    return 0;
}

/* A file beside a counter file. */
static FILE *open_beside(const char *counter, const char *name) {
    char path[4096];
    int folder = (int)(strrchr(counter, '/') - counter);
    snprintf(path, sizeof path, "%.*s/%s", folder, counter, name);
    return fopen(path, "re");
}

/* -1 where it cannot be read. */
static int64_t used(const char *counter) {
    long long bytes = -1;
    FILE *file = open_beside(counter, "memory.usage_in_bytes");
    if (file == NULL)
        file = open_beside(counter, "memory.current");
    if (file == NULL)
        return -1;
    if (fscanf(file, "%lld", &bytes) != 1)
        bytes = -1;
    fclose(file);
    return bytes;
}

/* Memory of processes, by its two names, and the cache of files on disks. */
static int64_t owned_or_reclaimable(const char *counter) {
    static const char *const names[] = {"rss", "anon", "active_file", "inactive_file"};
    char name[64];
    long long bytes, sum = 0;
    FILE *file = open_beside(counter, "memory.stat");
    if (file == NULL)
        return 0;
    while (fscanf(file, "%63s %lld", name, &bytes) == 2)
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            if (strcmp(name, names[i]) == 0)
                sum += bytes;
    fclose(file);
    return sum;
}

int64_t memory_without_owner(const char *const *counters) {
    for (; *counters != NULL; counters++) {
        int64_t all = used(*counters);
        if (all >= 0)
            return all - owned_or_reclaimable(*counters);
    }
    return 0;
}

struct goal {
    const char *const *counters;
    int64_t bytes;
};

static bool is_reached(void *context) {
    const struct goal *goal = context;
    return memory_without_owner(goal->counters) <= goal->bytes;
}

bool await_memory_freed(const char *const *counters, int64_t without_owner_before, double until) {
    struct goal goal = {counters, without_owner_before + LITTLE_BYTES};
    return watch_at_times(is_reached, &goal, until);
}
