/* The strict JSON reader: what Python's reader takes beyond the standard (NaN, a byte order mark,
 * two values for one name) is refused here, so that both ends always see the same frame. */
#include "json.h"

#include <stdlib.h>
#include <string.h>

struct parser {
    struct json *json;
    const char *text;
    size_t size;
    size_t at;
    uint32_t open[JSON_MAX_DEPTH]; /* nodes of the arrays and objects around us */
    unsigned depth;
};

static const char *parse_string(struct parser *parser);
static const char *parse_number(struct parser *parser);
static const char *parse_word(struct parser *parser);

static void skip_space(struct parser *parser) {
    while (parser->at < parser->size && strchr(" \t\n\r", parser->text[parser->at]) != NULL &&
           parser->text[parser->at] != '\0')
        parser->at++;
}

static int peek(const struct parser *parser) {
    return parser->at < parser->size ? (unsigned char)parser->text[parser->at] : -1;
}

static const char *new_node(struct parser *parser, enum json_kind kind, size_t start) {
    struct json *json = parser->json;
    if (json->count == JSON_MAX_NODES)
        return "too many values";
    if (json->count == json->room) {
        json->room = json->room ? json->room * 2 : 64;
        struct json_node *nodes = realloc(json->nodes, json->room * sizeof *nodes);
        if (nodes == NULL)
            give_up("out of memory");
        json->nodes = nodes;
    }
    json->nodes[json->count++] = (struct json_node){.start = (uint32_t)start, .kind = kind};
    return NULL;
}

/* The node just made is complete: it holds nothing, or all it will hold. */
static void close_node(struct parser *parser, uint32_t index) {
    struct json_node *node = &parser->json->nodes[index];
    node->size = (uint32_t)(parser->at - node->start);
    node->next = parser->json->count;
}

static const char *open_container(struct parser *parser, enum json_kind kind) {
    if (parser->depth == JSON_MAX_DEPTH)
        return "nested too deeply";
    const char *problem = new_node(parser, kind, parser->at);
    if (problem != NULL)
        return problem;
    parser->open[parser->depth++] = parser->json->count - 1;
    parser->at++;
    return NULL;
}

static void close_container(struct parser *parser) {
    parser->at++;
    close_node(parser, parser->open[--parser->depth]);
}

static const char *parse_name(struct parser *parser) {
    skip_space(parser);
    if (peek(parser) != '"')
        return "expected a name";
    const char *problem = parse_string(parser);
    if (problem != NULL)
        return problem;
    skip_space(parser);
    if (peek(parser) != ':')
        return "expected a colon";
    parser->at++;
    return NULL;
}

/* Begins one value; a scalar is complete afterwards, a container is open. */
static const char *parse_value(struct parser *parser) {
    skip_space(parser);
    switch (peek(parser)) {
    case '{':
        return open_container(parser, JSON_OBJECT);
    case '[':
        return open_container(parser, JSON_ARRAY);
    case '"':
        return parse_string(parser);
    case 't':
    case 'f':
    case 'n':
        return parse_word(parser);
    default:
        return parse_number(parser);
    }
}

/* Moves on inside the innermost container: closes it, or begins its next value. */
static const char *go_on(struct parser *parser) {
    struct json_node *node = &parser->json->nodes[parser->open[parser->depth - 1]];
    bool is_object = node->kind == JSON_OBJECT;
    skip_space(parser);
    if (peek(parser) == (is_object ? '}' : ']')) {
        close_container(parser);
        return NULL;
    }
    if (node->count++ > 0) {
        if (peek(parser) != ',')
            return "expected a comma or the end";
        parser->at++;
    }
    if (is_object) {
        const char *problem = parse_name(parser);
        if (problem != NULL)
            return problem;
    }
    return parse_value(parser);
}

const char *json_parse(struct json *json, const char *text, size_t size) {
    *json = (struct json){.text = text};
    struct parser parser = {.json = json, .text = text, .size = size};
    if (size > JSON_MAX_BYTES)
        return "too long";
    const char *problem = parse_value(&parser);
    while (problem == NULL && parser.depth > 0)
        problem = go_on(&parser);
    if (problem != NULL)
        return problem;
    skip_space(&parser);
    return parser.at == size ? NULL : "something follows the value";
}

void json_free(struct json *json) {
    free(json->nodes);
    *json = (struct json){0};
}

static bool is_hex(int character) {
    return (character >= '0' && character <= '9') || (character >= 'a' && character <= 'f') ||
           (character >= 'A' && character <= 'F');
}

/* Steps over what follows a backslash. */
static bool skip_escape(struct parser *parser) {
    parser->at++;
    int letter = peek(parser);
    if (letter < 0 || letter == 0 || strchr("\"\\/bfnrtu", letter) == NULL)
        return false;
    parser->at++;
    for (int digit = 0; letter == 'u' && digit < 4; digit++) {
        if (!is_hex(peek(parser)))
            return false;
        parser->at++;
    }
    return true;
}

static const char *parse_string(struct parser *parser) {
    const char *problem = new_node(parser, JSON_STRING, parser->at + 1);
    if (problem != NULL)
        return problem;
    uint32_t index = parser->json->count - 1;
    parser->at++;
    for (;;) {
        int character = peek(parser);
        if (character < 0)
            return "a string without end";
        if (character == '"')
            break;
        if (character < 0x20)
            return "a control character in a string";
        if (character == '\\') {
            parser->json->nodes[index].escaped = true;
            if (!skip_escape(parser))
                return "a wrong escape in a string";
            continue;
        }
        size_t length = utf8_length((const unsigned char *)parser->text + parser->at,
                                    parser->size - parser->at);
        if (length == 0)
            return "a string that is not UTF-8";
        parser->at += length;
    }
    close_node(parser, index);
    parser->at++;
    return NULL;
}

static bool skip_digits(struct parser *parser) {
    size_t before = parser->at;
    while (peek(parser) >= '0' && peek(parser) <= '9')
        parser->at++;
    return parser->at > before;
}

static const char *parse_number(struct parser *parser) {
    size_t start = parser->at;
    bool right = true;
    if (peek(parser) == '-')
        parser->at++;
    if (peek(parser) == '0')
        parser->at++;
    else
        right = skip_digits(parser);
    if (right && peek(parser) == '.') {
        parser->at++;
        right = skip_digits(parser);
    }
    if (right && (peek(parser) == 'e' || peek(parser) == 'E')) {
        parser->at++;
        if (peek(parser) == '+' || peek(parser) == '-')
            parser->at++;
        right = skip_digits(parser);
    }
    if (!right)
        return "expected a value";
    const char *problem = new_node(parser, JSON_NUMBER, start);
    if (problem == NULL)
        close_node(parser, parser->json->count - 1);
    return problem;
}

static const char *parse_word(struct parser *parser) {
    static const struct {
        const char *word;
        enum json_kind kind;
    } words[] = {{"true", JSON_TRUE}, {"false", JSON_FALSE}, {"null", JSON_NULL}};
    for (size_t i = 0; i < 3; i++) {
        size_t length = strlen(words[i].word);
        if (parser->size - parser->at < length ||
            memcmp(parser->text + parser->at, words[i].word, length) != 0)
            continue;
        const char *problem = new_node(parser, words[i].kind, parser->at);
        parser->at += length;
        if (problem == NULL)
            close_node(parser, parser->json->count - 1);
        return problem;
    }
    return "expected a value";
}

bool json_is_kind(const struct json *json, uint32_t node, enum json_kind kind) {
    return json->nodes[node].kind == kind;
}

uint32_t json_member(const struct json *json, uint32_t object, const char *name) {
    if (!json_is_kind(json, object, JSON_OBJECT))
        return 0;
    for (uint32_t key = object + 1; key < json->nodes[object].next;
         key = json->nodes[key + 1].next)
        if (json_string_is(json, key, name))
            return key + 1;
    return 0;
}

bool json_string_is(const struct json *json, uint32_t node, const char *text) {
    const struct json_node *string = &json->nodes[node];
    size_t length = strlen(text);
    if (string->kind != JSON_STRING)
        return false;
    if (!string->escaped)
        return string->size == length && memcmp(json->text + string->start, text, length) == 0;
    struct bytes decoded = {0};
    bool whole = json_decode(json, node, &decoded);
    bool same = whole && decoded.size == length && memcmp(decoded.data, text, length) == 0;
    bytes_free(&decoded);
    return same;
}

static bool same_strings(const struct json *json, uint32_t left, uint32_t right) {
    struct bytes one = {0}, other = {0};
    json_decode(json, left, &one);
    json_decode(json, right, &other);
    bool same = one.size == other.size && memcmp(one.data, other.data, one.size) == 0;
    bytes_free(&one);
    bytes_free(&other);
    return same;
}

bool json_has_twins(const struct json *json, uint32_t object) {
    uint32_t end = json->nodes[object].next;
    for (uint32_t key = object + 1; key < end; key = json->nodes[key + 1].next)
        for (uint32_t other = json->nodes[key + 1].next; other < end;
             other = json->nodes[other + 1].next)
            if (same_strings(json, key, other))
                return true;
    return false;
}

static unsigned hex4(const char *digits) {
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        unsigned digit = (unsigned char)digits[i];
        value = value * 16 + (digit <= '9' ? digit - '0' : (digit | 0x20u) - 'a' + 10u);
    }
    return value;
}

static void add_utf8(struct bytes *into, unsigned point) {
    char coded[4];
    size_t size;
    if (point < 0x80) {
        coded[0] = (char)point;
        size = 1;
    } else if (point < 0x800) {
        coded[0] = (char)(0xC0 | point >> 6);
        coded[1] = (char)(0x80 | (point & 0x3F));
        size = 2;
    } else if (point < 0x10000) {
        coded[0] = (char)(0xE0 | point >> 12);
        coded[1] = (char)(0x80 | (point >> 6 & 0x3F));
        coded[2] = (char)(0x80 | (point & 0x3F));
        size = 3;
    } else {
        coded[0] = (char)(0xF0 | point >> 18);
        coded[1] = (char)(0x80 | (point >> 12 & 0x3F));
        coded[2] = (char)(0x80 | (point >> 6 & 0x3F));
        coded[3] = (char)(0x80 | (point & 0x3F));
        size = 4;
    }
    bytes_add(into, coded, size);
}

/* Decodes the `\u....` at `at` (after the u); false for half of a pair. */
static bool add_unicode_escape(const char **at, const char *end, struct bytes *into) {
    unsigned point = hex4(*at);
    *at += 4;
    if (point < 0xD800 || point > 0xDFFF) {
        add_utf8(into, point);
        return true;
    }
    bool pair = point < 0xDC00 && end - *at >= 6 && (*at)[0] == '\\' && (*at)[1] == 'u';
    unsigned low = pair ? hex4(*at + 2) : 0;
    if (low >= 0xDC00 && low <= 0xDFFF) {
        *at += 6;
        add_utf8(into, 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00));
        return true;
    }
    add_utf8(into, 0xFFFD);
    return false;
}

static char plain_escape(char letter) {
    static const char letters[] = "bfnrt", meant[] = "\b\f\n\r\t";
    const char *found = strchr(letters, letter);
    return found != NULL ? meant[found - letters] : letter;
}

bool json_decode(const struct json *json, uint32_t node, struct bytes *into) {
    const struct json_node *string = &json->nodes[node];
    const char *at = json->text + string->start, *end = at + string->size;
    bool whole = true;
    bytes_reserve(into, string->size + 1);
    while (at < end) {
        const char *backslash = string->escaped ? memchr(at, '\\', (size_t)(end - at)) : NULL;
        const char *plain_end = backslash != NULL ? backslash : end;
        bytes_add(into, at, (size_t)(plain_end - at));
        at = plain_end;
        if (at == end)
            break;
        char letter = at[1];
        at += 2;
        if (letter == 'u') {
            whole = add_unicode_escape(&at, end, into) && whole;
        } else {
            char meant = plain_escape(letter);
            bytes_add(into, &meant, 1);
        }
    }
    bytes_reserve(into, 1);
    into->data[into->size] = '\0';
    return whole;
}

double json_number(const struct json *json, uint32_t node) {
    /* What follows a number in valid JSON, or the zero byte at the end, cannot continue it. */
    return strtod(json->text + json->nodes[node].start, NULL);
}

size_t utf8_length(const unsigned char *text, size_t left) {
    if (left == 0)
        return 0;
    unsigned char first = text[0];
    if (first < 0x80)
        return 1;
    size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4 || left < length)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    /* Overlong forms, surrogates, and what lies beyond Unicode. */
    if ((first == 0xE0 && text[1] < 0xA0) || (first == 0xED && text[1] > 0x9F) ||
        (first == 0xF0 && text[1] < 0x90) || (first == 0xF4 && text[1] > 0x8F))
        return 0;
    return length;
}

void json_add_string(struct bytes *into, const char *text, size_t size) {
    bytes_reserve(into, size + 2);
    bytes_add(into, "\"", 1);
    for (size_t at = 0; at < size;) {
        unsigned char character = (unsigned char)text[at];
        size_t length = utf8_length((const unsigned char *)text + at, size - at);
        if (length == 0)
            bytes_add_text(into, "\\ufffd");
        else if (character == '"' || character == '\\')
            bytes_add(into, (char[]){'\\', (char)character}, 2);
        else if (character < 0x20)
            bytes_format(into, "\\u%04x", character);
        else
            bytes_add(into, text + at, length);
        at += length ? length : 1;
    }
    bytes_add(into, "\"", 1);
}
