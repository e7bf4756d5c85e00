"""
Signing keys, and their ed25519 halves, in the formats of Standard Webhooks 1.0.0.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from config_service.rules.credentials import display_name_faults
from config_service.rules.refusals import refuse
from service_runtime.rules.signing_secrets import SECRET_RULE, is_good_secret
from shipedge.webhooks.config.v1.signing_key_pb2 import SigningKey

_PRIVATE, _PUBLIC = "whsk_", "whpk_"


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


def check(key: SigningKey) -> None:
    """
    Check a signing key that is to be created. Raises `InvalidArgument` with all faults, which
    name no secret.
    """
    faults = [*display_name_faults(key.display_name)]
    if key.secret:
        faults += [("secret", text) for text in secret_faults(key.secret)]
    refuse("The signing key is not valid.", "signing_key", faults)


def secret_faults(secret: str) -> Iterator[str]:
    """
    Yield why a secret cannot be used: the libraries of Standard Webhooks read `whsec_` and base64.
    """
    if not is_good_secret(secret):
        yield SECRET_RULE
