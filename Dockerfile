# One image for both services: `python -m config_service` or `python -m dispatch_service`.

FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv /opt/webhooks
COPY requirements/runtime.txt requirements/runtime.txt
RUN /opt/webhooks/bin/pip install --no-cache-dir --requirement requirements/runtime.txt
COPY pyproject.toml ./
COPY proto proto
COPY config_service config_service
COPY dispatch_service dispatch_service
COPY service_runtime service_runtime
RUN /opt/webhooks/bin/pip install --no-cache-dir --no-deps .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/webhooks webhooks
COPY --from=build /opt/webhooks /opt/webhooks
ENV PATH=/opt/webhooks/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SHIPEDGE_DATA_DIR=/var/lib/webhooks
USER webhooks
WORKDIR /var/lib/webhooks
# Certificates, keys and databases are the operator's: the image has none.
CMD ["python", "-m", "dispatch_service"]
