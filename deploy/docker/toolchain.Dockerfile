# A Python base with one language's packages from the distribution; build.sh puts the supervisor
# and the library on top. The packages are installed in a stage of their own and only what they
# added is taken over, in one layer: no package lists, no documentation, and nothing of the host's
# apt settings.
ARG BASE
FROM ${BASE} AS install
LABEL org.xqueue.stage=install
COPY apt /apt
COPY deploy/docker/install-packages.sh /apt/install-packages.sh
ARG PACKAGES
RUN sh /apt/install-packages.sh ${PACKAGES}

FROM ${BASE}
COPY --from=install /new /
ARG SOURCES=unknown
LABEL org.xqueue.sources=${SOURCES}
