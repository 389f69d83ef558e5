/* Checks what a grader asks for. It is trusted with the grade, not with our memory. */
#include "program.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"

/* Beyond this a number has no exact integer; no limit comes near it. */
#define LARGEST_WHOLE 9e15

static bool read_number(const struct json *json, uint32_t object, const char *name, double *into) {
    uint32_t node = json_member(json, object, name);
    if (node == 0 || !json_is_kind(json, node, JSON_NUMBER))
        return false;
    *into = json_number(json, node);
    return *into >= 0 && *into <= LARGEST_WHOLE;
}

bool limits_read(struct limits *limits, const struct json *json, uint32_t node) {
    return node != 0 && read_number(json, node, "wall_s", &limits->wall_s) &&
           read_number(json, node, "learner_wall_s", &limits->learner_wall_s) &&
           read_number(json, node, "learner_cpu_s", &limits->learner_cpu_s) &&
           read_number(json, node, "memory_bytes", &limits->memory_bytes) &&
           read_number(json, node, "pids", &limits->pids) &&
           read_number(json, node, "output_bytes", &limits->output_bytes) &&
           read_number(json, node, "scratch_bytes", &limits->scratch_bytes);
}

bool is_plain_name(const char *name, size_t size) {
    if (size < 1 || size > MAX_NAME || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return false;
    for (size_t i = 0; i < size; i++) {
        char letter = name[i];
        bool plain = (letter >= 'A' && letter <= 'Z') || (letter >= 'a' && letter <= 'z') ||
                     (letter >= '0' && letter <= '9') || letter == '.' || letter == '_' ||
                     letter == '-' || letter == '$';
        if (!plain)
            return false;
    }
    return true;
}

/* As a C string of its own; a zero byte or half a surrogate pair in it makes it unspeakable. */
static char *read_text(const struct json *json, uint32_t node, bool *unspeakable) {
    struct bytes text = {0};
    bool whole = json_decode(json, node, &text);
    if (!whole || memchr(text.data, '\0', text.size) != NULL)
        *unspeakable = true;
    return text.data;
}

static const char *read_arguments(struct program *program, const struct json *json) {
    uint32_t list = json_member(json, 0, "argv");
    if (list == 0 || !json_is_kind(json, list, JSON_ARRAY) || json->nodes[list].count < 1 ||
        json->nodes[list].count > MAX_ARGUMENTS)
        return "\"argv\" must be a list of 1 to 256 strings";
    for (uint32_t node = list + 1; node < json->nodes[list].next; node = json->nodes[node].next) {
        if (!json_is_kind(json, node, JSON_STRING))
            return "\"argv\" must hold strings";
        program->argv[program->argument_count++] = read_text(json, node, &program->unspeakable);
    }
    return NULL;
}

static bool read_base64(const struct json *json, uint32_t node, struct bytes *into);

static const char *read_files(struct program *program, const struct json *json) {
    uint32_t object = json_member(json, 0, "files");
    if (object == 0)
        return NULL;
    if (!json_is_kind(json, object, JSON_OBJECT) || json->nodes[object].count > MAX_FILES ||
        json_has_twins(json, object))
        return "\"files\" must be an object of at most 100 names";
    for (uint32_t key = object + 1; key < json->nodes[object].next;
         key = json->nodes[key + 1].next) {
        struct file *file = &program->files[program->file_count++];
        struct bytes name = {0};
        json_decode(json, key, &name);
        bool plain = is_plain_name(name.data, name.size);
        if (plain)
            memcpy(file->name, name.data, name.size);
        bytes_free(&name);
        if (!plain)
            return "the name of a file is not a plain file name";
        if (!read_base64(json, key + 1, &file->content))
            return "the content of a file is not base64 text";
    }
    return NULL;
}

static const char *read_collect(struct program *program, const struct json *json) {
    uint32_t list = json_member(json, 0, "collect");
    if (list == 0)
        return NULL;
    if (!json_is_kind(json, list, JSON_ARRAY) || json->nodes[list].count > MAX_FILES)
        return "\"collect\" must be a list of at most 100 names";
    for (uint32_t node = list + 1; node < json->nodes[list].next; node = json->nodes[node].next) {
        if (!json_is_kind(json, node, JSON_STRING))
            return "\"collect\" must hold strings";
        struct bytes name = {0};
        json_decode(json, node, &name);
        bool plain = is_plain_name(name.data, name.size);
        if (plain)
            memcpy(program->collect[program->collect_count++], name.data, name.size);
        bytes_free(&name);
        if (!plain)
            return "the name of a file to collect is not a plain file name";
    }
    return NULL;
}

static bool is_variable_name(const char *name, size_t size) {
    if (size < 1 || size > MAX_NAME || (name[0] >= '0' && name[0] <= '9'))
        return false;
    for (size_t i = 0; i < size; i++)
        if (!is_plain_name(name + i, 1) || name[i] == '-' || name[i] == '$')
            return false;
    return strchr(name, '.') == NULL;
}

static const char *read_env(struct program *program, const struct json *json) {
    uint32_t object = json_member(json, 0, "env");
    if (object == 0)
        return NULL;
    if (!json_is_kind(json, object, JSON_OBJECT) || json->nodes[object].count > MAX_VARIABLES ||
        json_has_twins(json, object))
        return "\"env\" must be an object of at most 64 names";
    size_t count = 0;
    for (uint32_t key = object + 1; key < json->nodes[object].next;
         key = json->nodes[key + 1].next) {
        struct bytes variable = {0};
        json_decode(json, key, &variable);
        bool right = is_variable_name(variable.data, variable.size) &&
                     json_is_kind(json, key + 1, JSON_STRING);
        if (right) {
            bytes_add_text(&variable, "=");
            size_t before = variable.size;
            right = json_decode(json, key + 1, &variable) &&
                    memchr(variable.data + before, '\0', variable.size - before) == NULL;
        }
        program->env[count++] = variable.data;
        if (!right)
            return "\"env\" must hold texts by names of letters, digits and _";
    }
    return NULL;
}

static bool read_base64(const struct json *json, uint32_t node, struct bytes *into) {
    if (!json_is_kind(json, node, JSON_STRING))
        return false;
    const struct json_node *string = &json->nodes[node];
    if (!string->escaped)
        return base64_decode(into, json->text + string->start, string->size);
    struct bytes text = {0};
    json_decode(json, node, &text);
    bool right = base64_decode(into, text.data, text.size);
    bytes_free(&text);
    return right;
}

static const char *read_input(struct program *program, const struct json *json) {
    uint32_t node = json_member(json, 0, "stdin");
    return node == 0 || read_base64(json, node, &program->input) ? NULL
                                                                 : "\"stdin\" is not base64 text";
}

/* The grader may ask for less than the limit, never for more. */
static bool at_most(const struct json *json, const char *name, double limit, double *into) {
    uint32_t node = json_member(json, 0, name);
    *into = limit;
    if (node == 0 || json_is_kind(json, node, JSON_NULL))
        return true;
    double asked = json_is_kind(json, node, JSON_NUMBER) ? json_number(json, node) : 0;
    *into = fmin(asked, limit);
    return asked > 0;
}

static const char *read_bounds(struct program *program, const struct json *json,
                               const struct limits *limits) {
    struct bounds *bounds = &program->bounds;
    double output_bytes, memory_bytes;
    if (!at_most(json, "wall_s", limits->learner_wall_s, &bounds->wall_s) ||
        !at_most(json, "cpu_s", limits->learner_cpu_s, &bounds->cpu_s) ||
        !at_most(json, "output_bytes", limits->output_bytes, &output_bytes) ||
        !at_most(json, "memory_bytes", limits->memory_bytes, &memory_bytes))
        return "a limit must be a positive number";
    bounds->output_bytes = (size_t)output_bytes;
    bounds->memory_bytes = memory_bytes < limits->memory_bytes ? (uint64_t)memory_bytes : 0;
    bounds->pids = (uint64_t)limits->pids;
    bounds->scratch_bytes = (uint64_t)limits->scratch_bytes;
    return NULL;
}

static const char *read_flag(const struct json *json, const char *name, bool *into) {
    uint32_t node = json_member(json, 0, name);
    *into = node != 0 && json_is_kind(json, node, JSON_TRUE);
    return node == 0 || *into || json_is_kind(json, node, JSON_FALSE)
               ? NULL
               : "\"keep\" and \"zygote\" are true or false";
}

const char *program_read(struct program *program, const struct json *json,
                         const struct limits *limits) {
    const char *problem;
    program->limits = limits;
    program->frame = json->text + json->nodes[0].start;
    program->frame_size = json->nodes[0].size;
    (void)((problem = read_arguments(program, json)) != NULL ||
           (problem = read_input(program, json)) != NULL ||
           (problem = read_files(program, json)) != NULL ||
           (problem = read_collect(program, json)) != NULL ||
           (problem = read_env(program, json)) != NULL ||
           (problem = read_flag(json, "keep", &program->keep)) != NULL ||
           (problem = read_flag(json, "zygote", &program->zygote)) != NULL ||
           (problem = read_bounds(program, json, limits)) != NULL);
    return problem;
}

void program_free(struct program *program) {
    for (size_t i = 0; i < program->argument_count; i++)
        free(program->argv[i]);
    for (size_t i = 0; program->env[i] != NULL; i++)
        free(program->env[i]);
    for (size_t i = 0; i < program->file_count; i++)
        bytes_free(&program->files[i].content);
    bytes_free(&program->input);
    *program = (struct program){0};
}
