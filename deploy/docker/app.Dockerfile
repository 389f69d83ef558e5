# A program of ours on its dependencies (packages.Dockerfile): the server's image, or the worker's.
ARG PACKAGES
FROM ${PACKAGES} AS install
LABEL org.xqueue.stage=install
COPY wheels /wheels
RUN pip=$(echo /wheels/pip-*.whl)/pip && python3 "$pip" install --quiet --no-index --no-deps \
        --target /new /wheels/xqueue_grader-*.whl \
 && python3 -m compileall -q /new

FROM ${PACKAGES}
COPY --from=install /new /opt/xqueue
ENV PYTHONPATH=/opt/xqueue PATH=/opt/xqueue/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1
# The user that all our containers run as, and the only directories that it may write to.
RUN mkdir -p /var/lib/xqueue /run/xqueue /var/cache/xqueue \
 && chown 10100:10100 /var/lib/xqueue /run/xqueue /var/cache/xqueue \
 && chmod 0700 /var/lib/xqueue /run/xqueue /var/cache/xqueue
USER 10100:10100
ENV HOME=/var/lib/xqueue GRADER_WORKER_CACHE=/var/cache/xqueue
ARG SOURCES=unknown
LABEL org.xqueue.sources=${SOURCES}
