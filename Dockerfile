# One image, two commands: `python -m stack torchserve` (the default) and `python -m gateway`.
# Both exec in place, so the process that Kubernetes signals is Java or the gateway itself, and its death ends the container.
#   image/build.sh                  CPU: OpenVINO, no torch
#   image/build.sh --variant cuda   GPU: adds torch with its own CUDA libraries; the node brings only the driver
#   image/build.sh --variant train  the trainer of k8s/training, from the stage of that name
ARG BASE_IMAGE=python:3.11-slim-bookworm

# hadolint ignore=DL3006 # the tag is in BASE_IMAGE's default; sites without a registry pass their own base
FROM ${BASE_IMAGE} AS build
ARG VARIANT=cpu
COPY image/requirements-${VARIANT}.txt image/trim.py image/sbom.py /build/
# Wheels only: nothing is compiled, so there is no compiler to remove. The two secrets are image/build.sh's; without them pip
# is as the base image has it.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca,target=/run/build/ca.crt \
    python -m venv --without-pip /opt/venv \
    && python -m pip --python /opt/venv/bin/python install --no-cache-dir --no-deps --only-binary :all: \
        --require-hashes -r "/build/requirements-${VARIANT}.txt" \
    && /opt/venv/bin/python /build/trim.py "${VARIANT}"

# What the served and the training image have in common.
# hadolint ignore=DL3006
FROM ${BASE_IMAGE} AS runtime
ARG VARIANT=cpu
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="dermserve" \
      org.opencontainers.image.description="A skin-lesion classifier: TorchServe and the gateway in front of it, or its trainer. Research use only." \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0 AND CC-BY-NC-4.0" \
      dermserve.variant="${VARIANT}"
# 10001: a number, so that Kubernetes can verify runAsNonRoot, and one that belongs to nobody on the node.
RUN printf 'dermserve:x:10001:10001::/tmp:/usr/sbin/nologin\n' >> /etc/passwd \
    && printf 'dermserve:x:10001:\n' >> /etc/group
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY image/sbom.py sbom.py
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp
# Each command has its own probe (k8s/base, compose.yaml); one HEALTHCHECK for both would lie about one of them.
HEALTHCHECK NONE

# Caches of matplotlib and of compiled kernels go to $HOME, where a volume is mounted; the root file system is read-only.
FROM runtime AS train
ARG VERSION=0.0.0
COPY handler handler
COPY lightning_module lightning_module
COPY model-config.yaml ./
RUN python sbom.py --version "${VERSION}" --output sbom.cdx.json
USER 10001:10001
CMD ["python", "-m", "lightning_module", "--help"]

FROM runtime AS serve
ARG VERSION=0.0.0
COPY gateway gateway
COPY stack stack
COPY image/hooks hooks
COPY config.properties metrics.yaml log4j2.xml ./
COPY model_store model_store
ENV MALLOC_ARENA_MAX=2
# Bytecode is written now, because the root file system is read-only later. The bill of materials lists what is really in
# this image: Debian packages, Python distributions, Java and its jars, the model.
RUN python -m compileall -q --invalidation-mode unchecked-hash gateway stack hooks \
    && python sbom.py --version "${VERSION}" --output sbom.cdx.json
USER 10001:10001
EXPOSE 8000 8080 8082
CMD ["python", "-m", "stack", "torchserve"]
