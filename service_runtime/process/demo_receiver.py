"""
A receiver for trials that prints and confirms every webhook:
`python -m service_runtime.process.demo_receiver CERTIFICATE KEY PORT`.
"""

from __future__ import annotations

import argparse
import ssl
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

MOST_BYTES = 10 * 1024 * 1024


class Confirming(BaseHTTPRequestHandler):
    """
    Answers 200 to every POST.
    """

    def do_POST(self) -> None:
        """
        Print the webhook and answer 200.
        """
        length = min(int(self.headers.get("Content-Length", 0)), MOST_BYTES)
        body = self.rfile.read(length).decode(errors="replace")
        print(f"{self.headers}{body}\n", flush=True)  # noqa: T201 - what it is for
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"OK")


def serve(certificate: Path, key: Path, port: int) -> None:
    """
    Serve for ever on all addresses.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = HTTPServer(("", port), Confirming)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("certificate", type=Path)
    parser.add_argument("key", type=Path)
    parser.add_argument("port", type=int)
    arguments = parser.parse_args()
    serve(arguments.certificate, arguments.key, arguments.port)
