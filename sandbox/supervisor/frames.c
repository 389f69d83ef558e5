/* Reading and writing frames. */
#include "frames.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* A frame has about ten members; more would make the search for twins slow. */
#define MAX_MEMBERS 100

void frame_header(char header[FRAME_HEADER], size_t size) {
    for (int i = 0; i < FRAME_HEADER; i++)
        header[i] = (char)(size >> (24 - 8 * i));
}

static size_t length_of(const char *header) {
    size_t length = 0;
    for (int i = 0; i < FRAME_HEADER; i++)
        length = length << 8 | (unsigned char)header[i];
    return length;
}

/* Takes over `body`, which a zero byte follows. */
static enum frame_result understand(struct frame *frame, char *body, size_t size,
                                    char problem[MESSAGE_BYTES]) {
    *frame = (struct frame){.body = body, .size = size};
    const char *wrong = json_parse(&frame->json, body, size);
    if (wrong != NULL) {
        snprintf(problem, MESSAGE_BYTES, "a frame is not JSON: %s", wrong);
    } else {
        uint32_t type = json_member(&frame->json, 0, "type");
        if (type == 0 || !json_is_kind(&frame->json, type, JSON_STRING))
            wrong = "a frame is not an object with a \"type\"";
        else if (frame->json.nodes[0].count > MAX_MEMBERS || json_has_twins(&frame->json, 0))
            wrong = "a frame has too many members, or one of them twice";
        if (wrong != NULL)
            snprintf(problem, MESSAGE_BYTES, "%s", wrong);
    }
    if (wrong == NULL)
        return FRAME_WHOLE;
    frame_free(frame);
    return FRAME_WRONG;
}

static enum frame_result too_large(size_t length, size_t most, char problem[MESSAGE_BYTES]) {
    snprintf(problem, MESSAGE_BYTES, "a frame of %zu bytes; the most is %zu", length, most);
    return FRAME_WRONG;
}

void frame_feed(struct frame_reader *reader, const void *data, size_t size) {
    bytes_add(&reader->buffer, data, size);
}

enum frame_result frame_next(struct frame_reader *reader, struct frame *frame,
                             char problem[MESSAGE_BYTES]) {
    if (reader->buffer.size < FRAME_HEADER)
        return FRAME_NONE;
    size_t length = length_of(reader->buffer.data);
    if (length > reader->most)
        return too_large(length, reader->most, problem);
    if (reader->buffer.size - FRAME_HEADER < length)
        return FRAME_NONE;
    char *body = allocate(length + 1, 1);
    memcpy(body, reader->buffer.data + FRAME_HEADER, length);
    bytes_drop_front(&reader->buffer, FRAME_HEADER + length);
    if (reader->buffer.size == 0)
        bytes_free(&reader->buffer);
    return understand(frame, body, length, problem);
}

bool frame_is(const struct frame *frame, const char *type) {
    return json_string_is(&frame->json, json_member(&frame->json, 0, "type"), type);
}

void frame_free(struct frame *frame) {
    json_free(&frame->json);
    free(frame->body);
    *frame = (struct frame){0};
}

enum frame_result frame_read(int fd, size_t most, struct frame *frame,
                             char problem[MESSAGE_BYTES]) {
    char header[FRAME_HEADER];
    if (!read_exactly(fd, header, sizeof header))
        return FRAME_NONE;
    size_t length = length_of(header);
    if (length > most)
        return too_large(length, most, problem);
    char *body = allocate(length + 1, 1);
    if (!read_exactly(fd, body, length)) {
        free(body);
        return FRAME_NONE;
    }
    return understand(frame, body, length, problem);
}

/* A descriptor shared with others may have been made non-blocking by them. */
static void await(int fd, short events) {
    poll(&(struct pollfd){.fd = fd, .events = events}, 1, -1);
}

bool read_exactly(int fd, void *into, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t got = read(fd, (char *)into + done, size - done);
        if (got > 0)
            done += (size_t)got;
        else if (got < 0 && errno == EAGAIN)
            await(fd, POLLIN);
        else if (got == 0 || errno != EINTR)
            return false;
    }
    return true;
}

bool write_all(int fd, const void *data, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t put = write(fd, (const char *)data + done, size - done);
        if (put >= 0)
            done += (size_t)put;
        else if (errno == EAGAIN)
            await(fd, POLLOUT);
        else if (errno != EINTR)
            return false;
    }
    return true;
}

bool frame_write(int fd, const void *body, size_t size) {
    char header[FRAME_HEADER];
    frame_header(header, size);
    /* In one piece: each piece wakes all that pass it on. */
    struct iovec parts[] = {{header, sizeof header}, {(void *)body, size}};
    ssize_t put = writev(fd, parts, 2);
    size_t done = put > 0 ? (size_t)put : 0;
    if (done < sizeof header)
        return write_all(fd, header + done, sizeof header - done) && write_all(fd, body, size);
    done -= sizeof header;
    return write_all(fd, (const char *)body + done, size - done);
}
