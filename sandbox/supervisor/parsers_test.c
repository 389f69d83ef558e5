/* The parsers under valid, wrong and random input, with the sanitizers watching: `build.sh test`.
 *
 * Random input is made from a fixed seed, so that what fails once fails again.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base64.h"
#include "frames.h"
#include "program.h"

static uint64_t state = 88172645463325252u;

static uint64_t next_random(void) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static size_t below(size_t bound) { return (size_t)(next_random() % bound); }

/* In memory of exactly its size, so that a read beyond it is seen. */
static const char *parse(struct json *json, const char *text, size_t size) {
    static char *copy;
    free(copy);
    copy = malloc(size + 1);
    assert(copy != NULL);
    memcpy(copy, text, size);
    copy[size] = '\0';
    return json_parse(json, copy, size);
}

static void expect(const char *text, bool is_right) {
    struct json json;
    const char *problem = parse(&json, text, strlen(text));
    if ((problem == NULL) != is_right) {
        fprintf(stderr, "%s: %s\n", text, problem != NULL ? problem : "taken");
        abort();
    }
    json_free(&json);
}

static void test_grammar(void) {
    static const char *const right[] = {
        "{}", "[]", " [ 1 , -2.5e+3 , 0 , 1E5, 0.1 ] ", "\"\\u00e9\\ud83d\\ude00\\/\\b\"",
        "{\"a\":{\"b\":[true,false,null]}}", "\"\xC3\xA9\xF0\x9F\x98\x80\"", "-0",
        "\"\\ud800\"", "3"};
    static const char *const wrong[] = {
        "", " ", "{", "[", "[1,]", "{\"a\":1,}", "{a:1}", "{\"a\" 1}", "{\"a\":}", "[1 2]", "01",
        "1.", ".5", "+1", "1e", "--1", "-", "NaN", "Infinity", "-Infinity", "nul", "truex", "\"",
        "\"\\x\"", "\"\\u12g4\"", "\"\\u123", "\"\n\"", "\"\t\"", "\"\x80\"", "\"\xC0\xAF\"",
        "\"\xED\xA0\x80\"", "\"\xF5\x80\x80\x80\"", "\"\xE2\x82\"", "{}{}", "[]]", "\xEF\xBB\xBF{}",
        "'a'", "[1]x", "{\"a\":1 \"b\":2}", "{1:2}", "[,1]", "{,}"};
    for (size_t i = 0; i < sizeof right / sizeof *right; i++)
        expect(right[i], true);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        expect(wrong[i], false);
}

static void test_depth_and_count(void) {
    static char text[2000001];
    struct json json;
    memset(text, '[', JSON_MAX_DEPTH);
    memset(text + JSON_MAX_DEPTH, ']', JSON_MAX_DEPTH);
    assert(parse(&json, text, 2 * JSON_MAX_DEPTH) == NULL);
    json_free(&json);
    memset(text, '[', 1000000);
    assert(parse(&json, text, 1000000) != NULL);
    json_free(&json);
    for (size_t i = 0; i < 1000000; i++)
        memcpy(text + 2 * i, "1,", 2);
    text[0] = '[';
    text[1999999] = ']';
    assert(parse(&json, text, 2000000) != NULL);
    json_free(&json);
}

static void test_members_and_decoding(void) {
    const char *text =
        "{\"a\":[1,{\"b\":2}],\"\\u0062\":\"x\\n\\ud83d\\ude00\",\"c\":\"\\ud800y\"}";
    struct json json;
    struct bytes decoded = {0};
    assert(parse(&json, text, strlen(text)) == NULL);
    assert(json.nodes[0].count == 3 && json.nodes[0].next == json.count);
    assert(json_is_kind(&json, json_member(&json, 0, "a"), JSON_ARRAY));
    assert(json_decode(&json, json_member(&json, 0, "b"), &decoded));
    assert(strcmp(decoded.data, "x\n\xF0\x9F\x98\x80") == 0);
    decoded.size = 0;
    assert(!json_decode(&json, json_member(&json, 0, "c"), &decoded));
    assert(strcmp(decoded.data, "\xEF\xBF\xBDy") == 0);
    assert(json_member(&json, 0, "d") == 0 && !json_has_twins(&json, 0));
    json_free(&json);
    text = "{\"ab\":1,\"\\u0061b\":2}";
    assert(parse(&json, text, strlen(text)) == NULL && json_has_twins(&json, 0));
    json_free(&json);
    bytes_free(&decoded);
}

static void test_base64(void) {
    static const char *const wrong[] = {"A", "AA", "AAA", "====", "A===", "AA=A", "AAAA=", "A A=",
                                        "AA==AAAA", "\n\n\n\n", "AA\xFF="};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct bytes out = {0};
        assert(!base64_decode(&out, wrong[i], strlen(wrong[i])));
        bytes_free(&out);
    }
    for (size_t size = 0; size < 300; size++) {
        struct bytes data = {0}, text = {0}, back = {0};
        for (size_t i = 0; i < size; i++)
            bytes_add(&data, &(char){(char)next_random()}, 1);
        base64_encode(&text, data.data, data.size);
        assert(base64_decode(&back, text.data, text.size) && back.size == size);
        assert(size == 0 || memcmp(back.data, data.data, size) == 0);
        bytes_free(&data);
        bytes_free(&text);
        bytes_free(&back);
    }
}

/* Whatever bytes are made a string of, the parser takes it. */
static void test_any_bytes_become_a_string(void) {
    for (int round = 0; round < 500; round++) {
        struct bytes data = {0}, text = {0};
        struct json json;
        for (size_t i = below(60); i > 0; i--)
            bytes_add(&data, &(char){(char)next_random()}, 1);
        json_add_string(&text, data.data, data.size);
        assert(parse(&json, text.data, text.size) == NULL);
        json_free(&json);
        bytes_free(&data);
        bytes_free(&text);
    }
}

static const char *const SEEDS[] = {
    "{\"type\":\"run\",\"argv\":[\"python3\",\"-I\",\"a.py\"],\"stdin\":\"aGFsbG8=\",\"files\":"
    "{\"a.py\":\"cHJpbnQoMSk=\"},\"wall_s\":1.5,\"cpu_s\":2,\"output_bytes\":100,\"keep\":true,"
    "\"zygote\":false,\"env\":{\"A_B\":\"c\"},\"collect\":[\"out.txt\"]}",
    "{\"type\":\"report\",\"id\":\"t1\",\"score\":0.5,\"output\":\"\\u00e9\\ud83d\\ude00\"}",
    "{\"type\":\"run\",\"argv\":[\"\\ud800\",\"\\u0000\"],\"wall_s\":1e999}",
};

static void mutate(struct bytes *text) {
    static const char interesting[] = "{}[]\",:\\u0eE+-.tfn \x80\xC3\xED\xF0";
    for (size_t times = below(6); times > 0 && text->size > 0; times--) {
        size_t at = below(text->size);
        switch (below(4)) {
        case 0:
            text->data[at] = (char)next_random();
            break;
        case 1:
            text->data[at] = interesting[below(sizeof interesting - 1)];
            break;
        case 2:
            text->size = at;
            break;
        default:
            bytes_reserve(text, text->size);
            memcpy(text->data + text->size, text->data + at, text->size - at);
            text->size += text->size - at;
        }
    }
}

/* A frame of that text, fed in random pieces, through all that reads frames. */
static void read_all_of(const struct bytes *text) {
    static struct program program;
    struct limits limits = {10, 5, 4, 1e8, 64, 65536, 1e7};
    struct frame_reader reader = {.most = 4096};
    struct frame frame;
    char header[FRAME_HEADER], problem[MESSAGE_BYTES];
    frame_header(header, text->size);
    frame_feed(&reader, header, sizeof header);
    for (size_t at = 0; at < text->size;) {
        size_t size = 1 + below(text->size - at);
        frame_feed(&reader, text->data + at, size);
        at += size;
    }
    if (frame_next(&reader, &frame, problem) == FRAME_WHOLE) {
        program_read(&program, &frame.json, &limits);
        program_free(&program);
        frame_free(&frame);
    }
    bytes_free(&reader.buffer);
}

int main(int count, char **arguments) {
    long rounds = count > 1 ? strtol(arguments[1], NULL, 10) : 20000;
    test_grammar();
    test_depth_and_count();
    test_members_and_decoding();
    test_base64();
    test_any_bytes_become_a_string();
    for (long round = 0; round < rounds; round++) {
        struct bytes text = {0};
        bytes_add_text(&text, SEEDS[below(3)]);
        mutate(&text);
        read_all_of(&text);
        bytes_free(&text);
    }
    parse(&(struct json){0}, "", 0);
    printf("%ld rounds\n", rounds);
    return 0;
}
