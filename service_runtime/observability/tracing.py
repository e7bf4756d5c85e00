"""
Tracing of a process: on if the settings say so, and nothing of it is loaded otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from service_runtime.observability import metrics
from service_runtime.rpc.gate.log_context import CallSubject, current_subject
from service_runtime.rpc.tracing.spans import tracing


class ExtraMissingError(Exception):
    """
    OpenTelemetry is not installed.
    """


@contextmanager
def traced(service: str, *, exported: bool) -> Iterator[None]:
    """
    Export the spans of the block, if they are to be *exported*; at its end those that are left.

    Raises `ExtraMissingError`.
    """
    if not exported:
        yield
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        from service_runtime.observability.otlp import OtlpTracer  # noqa: PLC0415
    except ImportError as missing:
        raise ExtraMissingError(
            "SHIPEDGE_TRACES=otlp needs OpenTelemetry: install shipedge-webhooks[otel]"
        ) from missing
    resource = Resource.create({"service.name": f"webhooks-{service}"})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracer = OtlpTracer(provider, BatchSpanProcessor(OTLPSpanExporter()))
    tracing.tracer = tracer
    try:
        yield
    finally:
        tracing.tracer = None
        tracer.close()


def measure_traced(method: str, code: str, seconds: float) -> None:
    """
    Measure a call that has ended, and record its span.
    """
    metrics.measure_call(method, code, seconds)
    subject = current_subject.get()
    if tracing.tracer is None or not isinstance(subject, CallSubject):
        return
    if (span := subject.span(code, time.time() - seconds, seconds)) is not None:
        tracing.tracer.record([span])
