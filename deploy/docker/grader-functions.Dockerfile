# The example grader as an image: what a course team writes to ship its own.
ARG BASE
FROM ${BASE}
COPY --chown=10001:10001 graders/examples/functions /grade
RUN chmod -R go-rwx /grade
ARG SOURCES=unknown
LABEL org.xqueue.sources=${SOURCES}
