# A program of ours with its locked dependencies: the server's image, or the worker's. Made by
# build-app.sh, which fetches the packages: nothing is downloaded here, every one has its hash.
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE} AS install
LABEL org.xqueue.stage=install
COPY wheels /wheels
COPY image.lock /image.lock
# pip runs out of its own wheel, so that the base needs nothing but a Python.
RUN pip=$(echo /wheels/pip-*.whl)/pip && python3 "$pip" install --quiet --no-index --find-links /wheels \
        --require-hashes --target /opt/xqueue --requirement /image.lock \
 && python3 "$pip" install --quiet --no-index --no-deps \
        --target /opt/xqueue --upgrade /wheels/xqueue_grader-*.whl \
 && python3 -m compileall -q /opt/xqueue

FROM ${BASE}
COPY --from=install /opt/xqueue /opt/xqueue
ENV PYTHONPATH=/opt/xqueue PATH=/opt/xqueue/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1
# The user that all our containers run as, and the only directories that it may write to.
RUN mkdir -p /var/lib/xqueue /run/xqueue /var/cache/xqueue \
 && chown 10100:10100 /var/lib/xqueue /run/xqueue /var/cache/xqueue \
 && chmod 0700 /var/lib/xqueue /run/xqueue /var/cache/xqueue
USER 10100:10100
ENV HOME=/var/lib/xqueue GRADER_WORKER_CACHE=/var/cache/xqueue
ARG SOURCES=unknown
LABEL org.xqueue.sources=${SOURCES}
