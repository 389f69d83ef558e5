# A slot of the box engine: a grader image with bubblewrap, taken from an image of the same release
# that has the package. Nothing here needs root or a set-user-id bit.
ARG BASE
ARG BUBBLEWRAP
FROM ${BUBBLEWRAP} AS bubblewrap
FROM ${BASE}
COPY --from=bubblewrap /usr/bin/bwrap /usr/bin/bwrap
# Programs in boxes find Python where the host's side expects it, whatever the base.
RUN [ -x /usr/bin/python3 ] || ln -s "$(command -v python3)" /usr/bin/python3 \
 && bwrap --version
ENTRYPOINT ["/xq/xq", "--slot"]
ARG SOURCES=unknown
LABEL org.xqueue.sources=${SOURCES}
