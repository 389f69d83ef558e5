# A service from the distribution's own packages, where no registry can be reached. It takes the
# same variables as the public image of its name, as far as compose.yaml uses them.
ARG BASE=debian:bookworm-slim
FROM ${BASE} AS install
LABEL org.xqueue.stage=install
COPY apt /apt
COPY deploy/docker/install-packages.sh /apt/install-packages.sh
ARG PACKAGES
RUN sh /apt/install-packages.sh ${PACKAGES}

FROM ${BASE}
COPY --from=install /new /
ARG SERVICE
COPY deploy/docker/debian-${SERVICE}.sh /usr/local/bin/docker-entrypoint.sh
# Nothing that a distribution serves by itself.
RUN chmod 0755 /usr/local/bin/docker-entrypoint.sh && rm -f /etc/nginx/sites-enabled/default
ENTRYPOINT ["docker-entrypoint.sh"]
ARG SOURCES=unknown
LABEL org.xqueue.sources=${SOURCES}
