/* Length-prefixed JSON objects: the language between host, supervisor and grader.
 *
 * Four bytes big-endian length, then UTF-8 JSON: an object with a text "type".
 */
#ifndef XQ_FRAMES_H
#define XQ_FRAMES_H

#include "json.h"

#define MAX_FRAME_BYTES (8u * 1024 * 1024)
/* The host's first frame carries a whole grader directory. */
#define MAX_START_BYTES (64u * 1024 * 1024)
#define FRAME_HEADER 4

struct frame {
    char *body;
    size_t size;
    struct json json;
};

/* Cuts a byte stream into frames, holding at most one frame and one read in memory. */
struct frame_reader {
    struct bytes buffer;
    size_t most;
};

enum frame_result { FRAME_NONE, FRAME_WHOLE, FRAME_WRONG };

void frame_feed(struct frame_reader *reader, const void *data, size_t size);
/* FRAME_NONE until more is fed; FRAME_WRONG with a sentence in `problem`. Free a whole one. */
enum frame_result frame_next(struct frame_reader *reader, struct frame *frame,
                             char problem[MESSAGE_BYTES]);
bool frame_is(const struct frame *frame, const char *type);
void frame_free(struct frame *frame);

/* Blocks for one frame; FRAME_NONE when the other side has closed. */
enum frame_result frame_read(int fd, size_t most, struct frame *frame, char problem[MESSAGE_BYTES]);
/* Reads exactly so many bytes; false at the end of the stream. */
bool read_exactly(int fd, void *into, size_t size);
/* Blocks until all is written; false when nobody reads any more. */
bool write_all(int fd, const void *data, size_t size);
bool frame_write(int fd, const void *body, size_t size);
void frame_header(char header[FRAME_HEADER], size_t size);

#endif
