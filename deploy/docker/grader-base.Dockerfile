# The image every grader runs in or is built from: Python, the supervisor (a static program that needs
# nothing of the image) and the grader library.
# Needs nothing but a Python 3.11+ at hand in the base.
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}
COPY sandbox/supervisor/bin/xq sandbox/supervisor/host.py /xq/
COPY sandbox/__init__.py /xq/lib/sandbox/__init__.py
COPY sandbox/supervisor/__init__.py sandbox/supervisor/frames.py sandbox/supervisor/light_json.py \
    /xq/lib/sandbox/supervisor/
COPY graders/__init__.py /xq/lib/graders/__init__.py
COPY graders/library /xq/lib/graders/library
# /grade is the grader's, /box and /tmp are the learner's, /scratch is the grader's. All but the
# first are covered by a tmpfs of their own in each container.
RUN python3 -m compileall -q /xq \
 && mkdir -p /grade /box /scratch \
 && chown 10001:10001 /grade && chmod 0700 /grade /box /scratch \
 && chmod -R a+rX,go-w /xq
ENTRYPOINT ["/xq/xq", "--container"]
ARG SOURCES=unknown
ARG LIBRARY=unknown
LABEL org.xqueue.sources=${SOURCES} org.xqueue.library=${LIBRARY}
