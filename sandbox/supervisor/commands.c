/* The commands of a grader without a library: the learner's program run under limits, a test
 * reported, the end said.
 *
 *   xq job [response|payload|seed|files]
 *   xq run [--time S] [--cpu S] [--mem SIZE] [--out SIZE] [--keep] [--zygote]
 *          [--file NAME=PATH]... [--collect NAME=PATH]... -- PROGRAM [ARGUMENT]...
 *   xq tests JSON                 all tests, where no manifest declares them
 *   xq report JSON                `-` reads it from stdin
 *   xq report --id ID --score N [--output TEXT] ...
 *   xq done
 *   xq fail TEXT
 *
 * `xq run` feeds its own stdin to the program and prints what that printed. It exits as the program
 * did, or with 124 (time), 137 (memory), 125 (output) or 126 (it could not be run).
 */
#include "commands.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base64.h"
#include "frames.h"
#include "layout.h"
#include "program.h"
#include "readable.h"

enum { FINE = 0, TIME_UP = 124, TOO_MUCH_OUTPUT = 125, NO_SANDBOX = 126, OUT_OF_MEMORY = 137 };

static noreturn void complain(const char *what, const char *about) {
    dprintf(STDERR_FILENO, "xq: %s%s%s\n", what, about[0] ? ": " : "", about);
    exit(NO_SANDBOX);
}

/* -- the channel ------------------------------------------------------------------------------- */

/* A grader may call us from several processes at once; a frame and its answer belong together. */
static void take_turn(void) {
    struct stat about;
    if (fstat(CHANNEL_FD, &about) < 0 || !S_ISSOCK(about.st_mode))
        complain("descriptor 3 is not the supervisor: not inside a grader?", "");
    int fd = open(SCRATCH_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        flock(fd, LOCK_EX); /* until we end */
}

static void send_frame(const struct bytes *body) {
    if (body->size > MAX_FRAME_BYTES)
        complain("too much for one frame", "");
    take_turn();
    if (!frame_write(CHANNEL_FD, body->data, body->size))
        complain("the supervisor is gone", "");
}

/* The job comes first, for graders that read it from here; ours has it in a file. */
static void await_ran(struct frame *frame) {
    char problem[MESSAGE_BYTES];
    for (;;) {
        enum frame_result result = frame_read(CHANNEL_FD, MAX_START_BYTES, frame, problem);
        if (result != FRAME_WHOLE)
            complain("the supervisor is gone", "");
        if (frame_is(frame, "ran"))
            return;
        frame_free(frame);
    }
}

static void read_fd(int fd, struct bytes *into, size_t most) {
    static char data[65536];
    for (;;) {
        ssize_t got = read(fd, data, sizeof data);
        if (got == 0)
            break;
        if (got < 0 && errno != EINTR)
            complain("cannot read", strerror(errno));
        if (got > 0)
            bytes_add(into, data, (size_t)got);
        if (into->size > most)
            complain("too much to read", "");
    }
    bytes_add(into, "", 1);
    into->size--;
}

static void read_path(const char *path, struct bytes *into, size_t most) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        complain(path, strerror(errno));
    read_fd(fd, into, most);
    close(fd);
}

/* What a learner printed may be in it, in any encoding. */
static void add_as_utf8(struct bytes *into, const char *text, size_t size) {
    for (size_t at = 0; at < size;) {
        size_t length = utf8_length((const unsigned char *)text + at, size - at);
        if (length > 0)
            bytes_add(into, text + at, length);
        else
            bytes_add_text(into, "\xEF\xBF\xBD");
        at += length ? length : 1;
    }
    bytes_add(into, "", 1);
    into->size--;
}

static void add_text_member(struct bytes *body, const char *name, const char *text) {
    bytes_format(body, ",\"%s\":", name);
    json_add_string(body, text, strlen(text));
}

/* The two parts of NAME=PATH; the path is the name where there is no sign. */
static const char *split_pair(char *pair) {
    char *sign = strchr(pair, '=');
    if (sign == NULL)
        return pair;
    *sign = '\0';
    return sign + 1;
}

/* -- run --------------------------------------------------------------------------------------- */

struct wanted {
    struct bytes limits; /* members, each after a comma */
    struct bytes files;
    char *collect_names[MAX_FILES];
    const char *collect_paths[MAX_FILES];
    size_t collect_count;
};

static double read_size(const char *text) {
    char *unit;
    double size = strtod(text, &unit);
    double factor = *unit == 'k' || *unit == 'K'   ? 1024.0
                    : *unit == 'm' || *unit == 'M' ? 1024.0 * 1024
                    : *unit == 'g' || *unit == 'G' ? 1024.0 * 1024 * 1024
                                                   : 1;
    if (unit == text || !(size > 0) || (*unit != '\0' && (factor == 1 || unit[1] != '\0')))
        complain("not a size", text);
    return size * factor;
}

static double read_seconds(const char *text) {
    char *end;
    double seconds = strtod(text, &end);
    if (end == text || *end != '\0' || !(seconds > 0) || seconds > 1e6)
        complain("not a number of seconds", text);
    return seconds;
}

static void add_file(struct bytes *files, char *pair) {
    struct bytes content = {0};
    const char *path = split_pair(pair);
    read_path(path, &content, MAX_FRAME_BYTES);
    bytes_add_text(files, files->size > 0 ? "," : "");
    json_add_string(files, pair, strlen(pair));
    bytes_add_text(files, ":\"");
    base64_encode(files, content.data, content.size);
    bytes_add_text(files, "\"");
    bytes_free(&content);
}

/* One option and its value; gives how many words that took. */
static int read_run_option(struct wanted *wanted, int count, char **words) {
    const char *name = words[0];
    if (strcmp(name, "--keep") == 0 || strcmp(name, "--zygote") == 0) {
        bytes_format(&wanted->limits, ",\"%s\":true", name + 2);
        return 1;
    }
    if (count < 2)
        complain("an option without its value", name);
    char *value = words[1];
    if (strcmp(name, "--time") == 0)
        bytes_format(&wanted->limits, ",\"wall_s\":%.3f", read_seconds(value));
    else if (strcmp(name, "--cpu") == 0)
        bytes_format(&wanted->limits, ",\"cpu_s\":%.3f", read_seconds(value));
    else if (strcmp(name, "--mem") == 0)
        bytes_format(&wanted->limits, ",\"memory_bytes\":%.0f", read_size(value));
    else if (strcmp(name, "--out") == 0)
        bytes_format(&wanted->limits, ",\"output_bytes\":%.0f", read_size(value));
    else if (strcmp(name, "--file") == 0)
        add_file(&wanted->files, value);
    else if (strcmp(name, "--collect") == 0) {
        if (wanted->collect_count == MAX_FILES)
            complain("more files to collect than can be", value);
        wanted->collect_paths[wanted->collect_count] = split_pair(value);
        wanted->collect_names[wanted->collect_count++] = value;
    } else
        complain("not an option of xq run", name);
    return 2;
}

static void write_run_frame(struct bytes *body, const struct wanted *wanted, char **argv) {
    struct bytes input = {0};
    bytes_add_text(body, "{\"type\":\"run\",\"argv\":[");
    for (char **word = argv; *word != NULL; word++) {
        bytes_add_text(body, word > argv ? "," : "");
        json_add_string(body, *word, strlen(*word));
    }
    bytes_add_text(body, "],\"files\":{");
    bytes_add(body, wanted->files.data, wanted->files.size);
    bytes_add_text(body, "},\"collect\":[");
    for (size_t i = 0; i < wanted->collect_count; i++) {
        bytes_add_text(body, i > 0 ? "," : "");
        json_add_string(body, wanted->collect_names[i], strlen(wanted->collect_names[i]));
    }
    bytes_add_text(body, "]");
    bytes_add(body, wanted->limits.data, wanted->limits.size);
    read_fd(STDIN_FILENO, &input, MAX_FRAME_BYTES);
    bytes_add_text(body, ",\"stdin\":\"");
    base64_encode(body, input.data, input.size);
    bytes_add_text(body, "\"}");
    bytes_free(&input);
}

static void decode_member(const struct json *json, uint32_t node, struct bytes *into) {
    const struct json_node *text = &json->nodes[node];
    if (node == 0 || text->kind != JSON_STRING ||
        !base64_decode(into, json->text + text->start, text->size))
        complain("an answer that is not understood", "");
}

static void print_member(const struct frame *frame, const char *name, int fd) {
    struct bytes content = {0};
    decode_member(&frame->json, json_member(&frame->json, 0, name), &content);
    write_all(fd, content.data, content.size);
    bytes_free(&content);
}

static void write_collected(const struct frame *frame, const struct wanted *wanted) {
    uint32_t files = json_member(&frame->json, 0, "files");
    for (size_t i = 0; files != 0 && i < wanted->collect_count; i++) {
        struct bytes content = {0};
        uint32_t node = json_member(&frame->json, files, wanted->collect_names[i]);
        if (node == 0)
            continue; /* the program left no such file */
        decode_member(&frame->json, node, &content);
        int fd = open(wanted->collect_paths[i], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0 || !write_all(fd, content.data, content.size))
            complain(wanted->collect_paths[i], strerror(errno));
        close(fd);
        bytes_free(&content);
    }
}

/* A grader that waits for one of these must not take it for one the program never wrote. */
static void tell_left_out(const struct json *json) {
    uint32_t list = json_member(json, 0, "left_out");
    if (list == 0 || !json_is_kind(json, list, JSON_ARRAY))
        return;
    for (uint32_t node = list + 1; node < json->nodes[list].next; node = json->nodes[node].next)
        dprintf(STDERR_FILENO, "xq: not collected, all files together may have %u bytes: %.*s\n",
                MAX_COLLECTED_BYTES, (int)json->nodes[node].size, json->text + json->nodes[node].start);
}

static int exit_code_of(const struct frame *frame) {
    static const struct {
        const char *reason;
        int code;
    } codes[] = {{"time", TIME_UP}, {"memory", OUT_OF_MEMORY}, {"output", TOO_MUCH_OUTPUT}};
    uint32_t reason = json_member(&frame->json, 0, "reason"),
             code = json_member(&frame->json, 0, "code");
    for (size_t i = 0; i < 3; i++)
        if (json_string_is(&frame->json, reason, codes[i].reason))
            return codes[i].code;
    if (!json_is_kind(&frame->json, code, JSON_NUMBER))
        complain("an answer that is not understood", "");
    return (int)json_number(&frame->json, code) & 255;
}

static int run(int count, char **words) {
    static struct wanted wanted;
    struct bytes body = {0};
    struct frame ran;
    int at = 1;
    while (at < count && strcmp(words[at], "--") != 0)
        at += read_run_option(&wanted, count - at, words + at);
    if (at + 1 >= count)
        complain("xq run [OPTION]... -- PROGRAM [ARGUMENT]...", "");
    write_run_frame(&body, &wanted, words + at + 1);
    send_frame(&body);
    await_ran(&ran);
    print_member(&ran, "stdout", STDOUT_FILENO);
    print_member(&ran, "stderr", STDERR_FILENO);
    write_collected(&ran, &wanted);
    tell_left_out(&ran.json);
    return exit_code_of(&ran);
}

/* -- reports ----------------------------------------------------------------------------------- */

/* The members of an object given as text, to follow `{"type":...` in a frame. */
static void add_members(struct bytes *body, const char *text, size_t size) {
    struct bytes clean = {0};
    struct json json;
    add_as_utf8(&clean, text, size);
    const char *problem = json_parse(&json, clean.data, clean.size);
    if (problem != NULL)
        complain("not JSON", problem);
    if (!json_is_kind(&json, 0, JSON_OBJECT) || json_member(&json, 0, "type") != 0)
        complain("not an object of a report's members", "");
    const struct json_node *object = &json.nodes[0];
    if (object->count > 0) {
        bytes_add_text(body, ",");
        bytes_add(body, json.text + object->start + 1, object->size - 2);
    }
    json_free(&json);
    bytes_free(&clean);
}

static void add_number_member(struct bytes *body, const char *name, const char *text) {
    struct json json;
    if (json_parse(&json, text, strlen(text)) != NULL || !json_is_kind(&json, 0, JSON_NUMBER))
        complain("not a number", text);
    bytes_format(body, ",\"%s\":", name);
    bytes_add_text(body, text);
    json_free(&json);
}

static void add_picture(struct bytes *pictures, char *pair) {
    struct bytes content = {0};
    const char *path = split_pair(pair);
    read_path(path, &content, MAX_FRAME_BYTES);
    bytes_add_text(pictures, pictures->size > 0 ? ",{\"label\":" : "{\"label\":");
    json_add_string(pictures, pair, strlen(pair));
    bytes_add_text(pictures, ",\"data\":\"");
    base64_encode(pictures, content.data, content.size);
    bytes_add_text(pictures, "\"}");
    bytes_free(&content);
}

static bool is_one_of(const char *name, const char *const *names) {
    for (; *names != NULL; names++)
        if (strcmp(name, *names) == 0)
            return true;
    return false;
}

static void add_report_option(struct bytes *body, struct bytes *pictures, const char *option,
                              char *value) {
    static const char *const numbers[] = {"score", "max", "duration_ms", NULL};
    static const char *const texts[] = {"id",       "title",  "status", "output",
                                        "expected", "actual", "html",   NULL};
    const char *name = option[0] == '-' && option[1] == '-' ? option + 2 : "";
    if (is_one_of(name, numbers))
        add_number_member(body, name, value);
    else if (is_one_of(name, texts))
        add_text_member(body, name, value);
    else if (strcmp(name, "picture") == 0)
        add_picture(pictures, value);
    else
        complain("not an option of xq report", option);
}

static int report(int count, char **words) {
    struct bytes body = {0}, text = {0}, pictures = {0};
    bytes_add_text(&body, "{\"type\":\"report\"");
    if (count == 2 && strcmp(words[1], "-") == 0) {
        read_fd(STDIN_FILENO, &text, MAX_FRAME_BYTES);
        add_members(&body, text.data, text.size);
    } else if (count == 2) {
        add_members(&body, words[1], strlen(words[1]));
    } else {
        for (int at = 1; at < count; at += 2) {
            if (at + 1 == count)
                complain("an option without its value", words[at]);
            add_report_option(&body, &pictures, words[at], words[at + 1]);
        }
    }
    if (pictures.size > 0) {
        bytes_add_text(&body, ",\"pictures\":[");
        bytes_add(&body, pictures.data, pictures.size);
        bytes_add_text(&body, "]");
    }
    bytes_add_text(&body, "}");
    send_frame(&body);
    return FINE;
}

static int announce(int count, char **words) {
    struct bytes body = {0}, clean = {0};
    struct json json;
    if (count != 2)
        complain("xq tests '[{\"id\":...,\"max\":...},...]'", "");
    add_as_utf8(&clean, words[1], strlen(words[1]));
    const char *problem = json_parse(&json, clean.data, clean.size);
    if (problem != NULL || !json_is_kind(&json, 0, JSON_ARRAY))
        complain("not a JSON list", problem != NULL ? problem : "");
    bytes_add_text(&body, "{\"type\":\"tests\",\"tests\":");
    bytes_add(&body, clean.data, clean.size);
    bytes_add_text(&body, "}");
    send_frame(&body);
    return FINE;
}

static int say_done(int count, char **words) {
    struct bytes body = {0};
    (void)words;
    if (count != 1)
        complain("xq done takes nothing", "");
    bytes_add_text(&body, "{\"type\":\"done\"}");
    send_frame(&body);
    return FINE;
}

static int say_fail(int count, char **words) {
    struct bytes body = {0};
    if (count != 2)
        complain("xq fail TEXT", "");
    bytes_add_text(&body, "{\"type\":\"fail\"");
    add_text_member(&body, "detail", words[1]);
    bytes_add_text(&body, "}");
    send_frame(&body);
    return FINE;
}

/* -- the job ----------------------------------------------------------------------------------- */

static void print_names(const struct json *json, uint32_t object) {
    for (uint32_t key = object + 1; key < json->nodes[object].next;
         key = json->nodes[key + 1].next) {
        struct bytes name = {0};
        json_decode(json, key, &name);
        bytes_add_text(&name, "\n");
        write_all(STDOUT_FILENO, name.data, name.size);
        bytes_free(&name);
    }
}

static int show_job(int count, char **words) {
    struct bytes text = {0}, value = {0};
    struct json json;
    read_path(SCRATCH_DIR "/job.json", &text, MAX_START_BYTES);
    if (count == 1) {
        write_all(STDOUT_FILENO, text.data, text.size);
        return FINE;
    }
    if (json_parse(&json, text.data, text.size) != NULL)
        complain("the job is not JSON", "");
    uint32_t node = json_member(&json, 0, words[1]);
    if (node == 0 || count != 2)
        complain("xq job [response|payload|seed|files]", "");
    if (json_is_kind(&json, node, JSON_OBJECT))
        print_names(&json, node);
    else if (json_is_kind(&json, node, JSON_STRING))
        json_decode(&json, node, &value);
    else
        bytes_add(&value, json.text + json.nodes[node].start, json.nodes[node].size);
    write_all(STDOUT_FILENO, value.data, value.size);
    return FINE;
}

int obey_command(int count, char **words) {
    static const struct {
        const char *name;
        int (*call)(int, char **);
    } commands[] = {{"run", run},       {"report", report}, {"tests", announce},
                    {"done", say_done}, {"fail", say_fail}, {"job", show_job},
                    {"readable", tell_readable}};
    for (size_t i = 0; count > 0 && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(words[0], commands[i].name) == 0)
            return commands[i].call(count, words);
    complain("xq run|report|tests|done|fail|job", count > 0 ? words[0] : "");
}
