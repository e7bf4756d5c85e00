"""
Spans as OpenTelemetry gets them, and what tracing costs when it is off.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider, sampling
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind as Kind
from opentelemetry.trace import StatusCode

from service_runtime.observability.otlp import OtlpTracer
from service_runtime.observability.tracing import ExtraMissingError, traced
from service_runtime.rpc.gate.log_context import CallSubject
from service_runtime.rpc.tracing.spans import Span, SpanKind, tracing
from tests.support.project_files import ROOT

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
GIVEN = f"00-{TRACE}-00f067aa0ba902b7-01"
NOT_SAMPLED = GIVEN[:-1] + "0"


def tracer(sampler: sampling.Sampler) -> tuple[OtlpTracer, InMemorySpanExporter]:
    """
    Make a tracer and the exporter that keeps its spans.
    """
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    return OtlpTracer(provider, SimpleSpanProcessor(exporter)), exporter


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    """
    Trace the test; yield what keeps the spans.
    """
    made, exporter = tracer(sampling.DEFAULT_ON)
    tracing.tracer = made
    yield exporter
    tracing.tracer = None


@pytest.mark.parametrize(
    ("sampler", "parent", "trace", "sampled"),
    [
        (sampling.DEFAULT_ON, GIVEN, TRACE, True),
        (sampling.DEFAULT_ON, NOT_SAMPLED, TRACE, False),
        (sampling.DEFAULT_ON, "", "", True),
        (sampling.DEFAULT_OFF, GIVEN, TRACE, True),
        (sampling.DEFAULT_OFF, "", "", False),
        (sampling.ALWAYS_OFF, GIVEN, TRACE, False),
    ],
)
def test_place(sampler: sampling.Sampler, parent: str, trace: str, *, sampled: bool) -> None:
    """
    A new span goes on with the trace of its parent, or begins one; what the sampler does not
    take leaves the place as it was.
    """
    place = tracer(sampler)[0].place(parent, "/a/b")

    assert (place != parent) is sampled
    assert trace in place
    if sampled:
        version, _, _, flags = place.split("-")
        assert (version, flags, len(place)) == ("00", "01", len(GIVEN))


def test_span_of_a_call(exported: InMemorySpanExporter) -> None:
    """
    It is under the span of its caller, who is named; a failure has its code and no text.
    """
    subject = CallSubject("/shipedge.Publisher/Publish")
    subject.read({"traceparent": GIVEN})
    subject.caller = "callers/oms"
    for code in ("OK", "UNAVAILABLE"):
        span = subject.span(code, 10.0, 0.5)
        assert span is not None
        assert tracing.tracer is not None
        tracing.tracer.record([span])

    good, bad = exported.get_finished_spans()
    assert (good.name, good.kind) == ("shipedge.Publisher/Publish", Kind.SERVER)
    assert good.context is not None
    assert good.parent is not None
    assert good.context.trace_id == good.parent.trace_id == int(TRACE, 16)
    assert good.parent.span_id == int("00f067aa0ba902b7", 16)
    assert (good.start_time, good.end_time) == (10_000_000_000, 10_500_000_000)
    assert dict(good.attributes or {})["shipedge.caller"] == "callers/oms"
    assert good.status.status_code is StatusCode.UNSET
    assert (bad.status.status_code, bad.status.description) == (StatusCode.ERROR, "UNAVAILABLE")


def test_call_that_is_not_sampled(exported: InMemorySpanExporter) -> None:
    """
    It has no span, and passes on the place that it was given.
    """
    subject = CallSubject("/a/b")
    subject.read({"traceparent": NOT_SAMPLED})

    assert subject.trace_parent == NOT_SAMPLED
    assert subject.span("OK", 0.0, 0.0) is None
    span = Span("x", SpanKind.INTERNAL, NOT_SAMPLED, "", 0.0, 0.0)
    assert tracing.tracer is not None
    tracing.tracer.record([span])
    assert exported.get_finished_spans() == ()


def test_call_without_a_tracer() -> None:
    """
    It passes on what its caller gave.
    """
    subject = CallSubject("/a/b")
    subject.read({"traceparent": GIVEN})

    assert subject.trace_parent == GIVEN


@pytest.mark.slow
def test_nothing_is_loaded_when_it_is_off() -> None:
    """
    Neither service imports OpenTelemetry.
    """
    program = (
        "import sys, config_service.app, dispatch_service.app, dispatch_service.supervisor\n"
        "print([it for it in sys.modules if it.startswith('opentelemetry')])"
    )

    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert ended.stdout == "[]\n"


def test_extra_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The service does not start, and says what to install.
    """
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)

    with pytest.raises(ExtraMissingError, match=r"install shipedge-webhooks\[otel\]"):
        with traced("dispatch", exported=True):
            pass
    assert tracing.tracer is None
