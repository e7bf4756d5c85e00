"""
Signing secrets and ed25519 keys, in the formats of Standard Webhooks 1.0.0.
"""

from __future__ import annotations

import base64
import secrets

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SECRET_BYTES = 32

_SECRET, _PRIVATE, _PUBLIC = "whsec_", "whsk_", "whpk_"


def new_secret() -> str:
    """
    Create a signing secret: `whsec_` and the base64 of 32 random bytes.
    """
    return _SECRET + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def new_signing_key() -> str:
    """
    Create an ed25519 key: `whsk_` and the base64 of its 32 bytes.
    """
    return _PRIVATE + base64.b64encode(Ed25519PrivateKey.generate().private_bytes_raw()).decode()


def verification_key(signing_key: str) -> str:
    """
    Return the public half of a key: `whpk_` and the base64 of its 32 bytes.
    """
    raw = base64.b64decode(signing_key.removeprefix(_PRIVATE))
    public = Ed25519PrivateKey.from_private_bytes(raw).public_key().public_bytes_raw()
    return _PUBLIC + base64.b64encode(public).decode()
