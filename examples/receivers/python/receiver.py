"""
A receiver of webhooks: verifies, keeps each delivery once, answers at once, applies in order.

    WEBHOOK_SECRET=whsec_… PORT=8080 INBOX=./inbox python receiver.py

Needs nothing but Python 3.9. With a framework: Flask has the bytes in `request.get_data()`,
FastAPI and Starlette in `await request.body()`, Django in `request.body`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import tempfile
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SECRET = base64.b64decode(os.environ["WEBHOOK_SECRET"].removeprefix("whsec_"))
INBOX = Path(os.environ.get("INBOX", "inbox"))
DELIVERIES, DONE, ORDERS = INBOX / "deliveries", INBOX / "done", INBOX / "orders"
TOLERANCE_SECONDS = 300
LARGEST_BODY = 1024 * 1024
arrived = threading.Event()


def verified(headers: object, body: bytes) -> bool:
    """
    Tell whether a request is signed with the secret, and not older than five minutes.
    """
    get = headers.get  # type: ignore[attr-defined]
    message_id, timestamp = get("webhook-id", ""), get("webhook-timestamp", "")
    if not re.fullmatch(r"[\w-]{1,100}", message_id) or not re.fullmatch(r"\d{1,12}", timestamp):
        return False
    if abs(time.time() - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    signed = f"{message_id}.{timestamp}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.digest(SECRET, signed, hashlib.sha256)).decode()
    # Several, while a secret is being replaced.
    given = get("webhook-signature", "").split(" ")
    return any(hmac.compare_digest(it.encode(), expected.encode()) for it in given)


def keep(message_id: str, body: bytes) -> bool:
    """
    Write a delivery to the disk under its id; tell whether it is new.
    """
    with tempfile.NamedTemporaryFile(dir=INBOX) as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
        try:
            # It is there whole or not at all, and only once.
            os.link(file.name, DELIVERIES / message_id)
        except FileExistsError:
            return False
    return True


class Receiver(BaseHTTPRequestHandler):
    """
    Answers requests.
    """

    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_POST(self) -> None:
        """
        Verify, keep, and answer; the work is done behind the answer.
        """
        size = int(self.headers.get("content-length", "0"))
        if size > LARGEST_BODY:
            self.close_connection = True
            return self.answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        body = self.rfile.read(size)
        if not verified(self.headers, body):
            print("refused", flush=True)
            return self.answer(HTTPStatus.UNAUTHORIZED)
        message_id = self.headers["webhook-id"]
        print("accepted" if keep(message_id, body) else "duplicate", message_id, flush=True)
        arrived.set()
        return self.answer(HTTPStatus.NO_CONTENT)

    def answer(self, status: int) -> None:
        """
        Send a status without a body.
        """
        self.send_response(status)
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """
        Write no line for each request.
        """


def work() -> None:
    """
    Apply what was kept, for ever.
    """
    while True:
        arrived.wait(1)
        arrived.clear()
        waiting = {it.name for it in DELIVERIES.iterdir()} - {it.name for it in DONE.iterdir()}
        bodies = {it: json.loads((DELIVERIES / it).read_bytes()) for it in waiting}
        for message_id in sorted(bodies, key=lambda it: bodies[it].get("sequence") or 0):
            apply(bodies[message_id])
            (DONE / message_id).touch()


def apply(body: dict) -> None:  # type: ignore[type-arg]
    """
    Apply a change of an order, unless a later one was applied before.
    """
    order = body.get("data", {}).get("order", {}).get("id")
    if order is None:
        print("put aside", body.get("event"), flush=True)
        return
    event, sequence = body["event"], body.get("sequence") or 0
    state = ORDERS / f"{event.replace('/', '_')}-{order}"
    last = int(state.read_text()) if state.exists() else 0
    if sequence and sequence <= last:
        print("stale", order, sequence, flush=True)
        return
    # Your own work is here. It may be done again after a crash.
    print("applied", order, sequence, flush=True)
    state.write_text(str(max(sequence, last)))


if __name__ == "__main__":
    for folder in (DELIVERIES, DONE, ORDERS):
        folder.mkdir(parents=True, exist_ok=True)
    threading.Thread(target=work, daemon=True).start()
    ThreadingHTTPServer(
        ("127.0.0.1", int(os.environ.get("PORT", "8080"))), Receiver
    ).serve_forever()
