# One image for both services, the console and `webhooksctl`: `python -m config_service`,
# `python -m dispatch_service` or `python -m console`.
#
# Pin the base image by its digest: --build-arg PYTHON_IMAGE=python:3.11-slim@sha256:…
ARG PYTHON_IMAGE=python:3.11-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
RUN python -m venv /opt/webhooks && python -m venv /opt/build
COPY requirements requirements
RUN /opt/webhooks/bin/pip install --no-cache-dir --require-hashes --requirement requirements/image.txt
RUN /opt/build/bin/pip install --no-cache-dir --require-hashes --requirement requirements/build.txt
COPY pyproject.toml ./
COPY proto proto
COPY config_service config_service
COPY console console
COPY dispatch_service dispatch_service
COPY service_runtime service_runtime
COPY webhooksctl webhooksctl
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /dist .
RUN /opt/webhooks/bin/pip install --no-cache-dir --no-deps --no-index /dist/*.whl

# Both services and the console for one developer: `python -m service_runtime.process.pair`.
FROM ${PYTHON_IMAGE} AS development
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/webhooks webhooks \
 && chmod 700 /var/lib/webhooks
COPY --from=build /opt/webhooks /opt/webhooks
ENV PATH=/opt/webhooks/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    SHIPEDGE_ENVIRONMENT=development \
    SHIPEDGE_DATA_DIR=/var/lib/webhooks
USER webhooks
WORKDIR /var/lib/webhooks
CMD ["python", "-m", "service_runtime.process.pair"]

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="shipedge-webhooks" \
      org.opencontainers.image.licenses="LicenseRef-Proprietary"
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/webhooks webhooks \
 && chmod 700 /var/lib/webhooks
COPY --from=build /opt/webhooks /opt/webhooks
# The published contract, for `grpcurl -protoset`.
COPY proto/published.binpb /opt/webhooks/share/webhooks.binpb
ENV PATH=/opt/webhooks/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SHIPEDGE_ENVIRONMENT=production \
    SHIPEDGE_DATA_DIR=/var/lib/webhooks
USER webhooks
WORKDIR /var/lib/webhooks
EXPOSE 50051 50052 50080
# Certificates, keys and databases are the operator's: the image has none.
CMD ["python", "-m", "dispatch_service"]
