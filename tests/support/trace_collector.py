"""
A collector of traces: OTLP over HTTP, as exporters send it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True, slots=True)
class Collected:
    """
    A span, with the name of its service.
    """

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, str]


@dataclass
class Collector:
    """
    What exporters have sent: *bodies* as they came.
    """

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)

    def spans(self) -> list[Collected]:
        """
        Return all spans.
        """
        return [span for body in self.bodies for span in _spans(body)]


def _spans(body: bytes) -> Iterator[Collected]:
    for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        about = {it.key: it.value.string_value for it in of_resource.resource.attributes}
        for scope in of_resource.scope_spans:
            for span in scope.spans:
                yield Collected(
                    about["service.name"],
                    span.name,
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    {it.key: it.value.string_value for it in span.attributes},
                )


@contextmanager
def running_collector() -> Iterator[Collector]:
    """
    Run a collector on the loopback address.
    """
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """
            Say nothing.
            """

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
