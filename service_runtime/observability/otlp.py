"""
The tracer that exports spans by OTLP, with OpenTelemetry (the extra `otel`).

Sampler, endpoint, headers, batches and resource come from the variables that OpenTelemetry has
for them (`OTEL_…`).
"""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags

from service_runtime.rpc.tracing.spans import Span, SpanKind, is_recorded

_KINDS = {
    SpanKind.SERVER: trace.SpanKind.SERVER,
    SpanKind.CLIENT: trace.SpanKind.CLIENT,
    SpanKind.INTERNAL: trace.SpanKind.INTERNAL,
}
_NANOSECONDS = 1_000_000_000
_NOTHING = SpanContext(trace_id=0, span_id=0, is_remote=True)


class OtlpTracer:
    """
    Gives spans to a processor of OpenTelemetry; sampler and resource are those of a *provider*.
    """

    def __init__(self, provider: TracerProvider, processor: SpanProcessor) -> None:
        self._sampler = provider.sampler
        self._resource = provider.resource
        self._processor = processor
        self._ids = RandomIdGenerator()
        self._scope = InstrumentationScope("shipedge.webhooks")

    def place(self, parent: str, name: str) -> str:
        """
        Return the place of a new span, if the sampler takes it; otherwise *parent*.
        """
        above = _context(parent)
        trace_id = above.trace_id or self._ids.generate_trace_id()
        around = trace.set_span_in_context(trace.NonRecordingSpan(above))
        decision = self._sampler.should_sample(around, trace_id, name).decision
        if decision is not Decision.RECORD_AND_SAMPLE:
            return parent
        return f"00-{trace_id:032x}-{self._ids.generate_span_id():016x}-01"

    def record(self, spans: Sequence[Span]) -> None:
        """
        Give the spans that are sampled to the processor.
        """
        for span in spans:
            if is_recorded(span.place):
                self._processor.on_end(self._readable(span))

    def close(self) -> None:
        """
        Export what is left.
        """
        self._processor.shutdown()

    def _readable(self, span: Span) -> ReadableSpan:
        failed = Status(StatusCode.ERROR, span.failure)
        start = round(span.start * _NANOSECONDS)
        return ReadableSpan(
            name=span.name,
            context=_context(span.place),
            parent=_context(span.parent) if span.parent else None,
            resource=self._resource,
            attributes=span.attributes,
            kind=_KINDS[span.kind],
            status=failed if span.failure else Status(StatusCode.UNSET),
            start_time=start,
            end_time=start + round(span.seconds * _NANOSECONDS),
            instrumentation_scope=self._scope,
        )


def _context(place: str) -> SpanContext:
    if not place:
        return _NOTHING
    _, trace_id, span_id, flags = place.split("-")
    return SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))
    )
