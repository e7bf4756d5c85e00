"""
Signing secrets, in the format of Standard Webhooks 1.0.0. No I/O.
"""

from __future__ import annotations

import base64
import binascii
import secrets

SECRET_PREFIX = "whsec_"  # noqa: S105 - the documented prefix of a secret, not a secret
SECRET_BYTES = 32
MIN_SECRET_BYTES, MAX_SECRET_BYTES = 24, 64

SECRET_RULE = (
    f"must be {SECRET_PREFIX} and the base64 of {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes"
)
"""
The rule on secrets that callers give, for people: that of the libraries of Standard Webhooks.
"""


def new_secret() -> str:
    """
    Create a signing secret: `whsec_` and the base64 of 32 random bytes.
    """
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def secret_bytes(secret: str) -> bytes:
    """
    Decode a signing secret: base64 after `whsec_`. Raises `ValueError`.
    """
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("a signing secret is not base64") from None


def is_good_secret(secret: str) -> bool:
    """
    Tell whether a caller may give a signing secret; `SECRET_RULE` says the rule.
    """
    try:
        raw = secret_bytes(secret)
    except ValueError:
        return False
    return secret.startswith(SECRET_PREFIX) and MIN_SECRET_BYTES <= len(raw) <= MAX_SECRET_BYTES
