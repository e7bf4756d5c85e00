"""
Signatures, verified by the official JavaScript library of Standard Webhooks.

Unit tests use the Python library.
"""

from __future__ import annotations

import base64
import json
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dispatch_service.delivery.request import sign
from dispatch_service.routing.subscriptions import SigningKey
from tests.support.node_packages import modules, program

__all__ = ["modules"]

BODY = '{"event":"orders/shipped_v2","name":"Müller ☃"}'
PROGRAM = """
const { Webhook } = require('standardwebhooks');
const [secret, body, headers] = process.argv.slice(1);
new Webhook(secret).verify(body, JSON.parse(headers));
"""


@pytest.mark.parametrize("key", [b"n" * 32, b"o" * 24, b"x" * 32])
def test_javascript_library_verifies_both_secrets(modules: Path, key: bytes) -> None:
    """
    During a rotation the header verifies with both secrets, and with no other.
    """
    timestamp = int(time.time())
    keys = [
        SigningKey(b"n" * 32, None, Ed25519PrivateKey.from_private_bytes(b"p" * 32)),
        SigningKey(b"o" * 24, None),
    ]
    now = datetime.fromtimestamp(timestamp, UTC)
    headers = {
        "webhook-id": "dlv_1",
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(keys, b"dlv_1", timestamp, BODY.encode(), now).decode(),
    }
    secret = f"whsec_{base64.b64encode(key).decode()}"
    done = subprocess.run(
        [program("node"), "-e", PROGRAM, secret, BODY, json.dumps(headers)],
        env={"NODE_PATH": str(modules)},
        capture_output=True,
        check=False,
    )
    assert (done.returncode == 0) is (key != b"x" * 32), done.stderr.decode()
