# The locked dependencies of a program of ours, from which app.Dockerfile goes on: they change seldom.
# Made by build-app.sh, which fetches them: nothing is downloaded here, every one has its hash.
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE} AS install
LABEL org.xqueue.stage=install
COPY wheels /wheels
COPY image.lock /image.lock
# pip runs out of its own wheel, so that the base needs nothing but a Python.
RUN pip=$(echo /wheels/pip-*.whl)/pip && python3 "$pip" install --quiet --no-index --find-links /wheels \
        --require-hashes --target /opt/xqueue --requirement /image.lock \
 && python3 -m compileall -q /opt/xqueue

FROM ${BASE}
COPY --from=install /opt/xqueue /opt/xqueue
ARG SOURCES=unknown
LABEL org.xqueue.sources=${SOURCES}
