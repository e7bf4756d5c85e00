"""
The associated data of sealed values: table, row and column, so that a value opens nowhere else.
"""

from __future__ import annotations

from service_runtime.keys.keyring import AssociatedData


def subscription(owner: str, subscription_id: str) -> AssociatedData:
    return AssociatedData("subscriptions", (owner, subscription_id), "sealed_config")


def signing_secret(owner: str, subscription_id: str, secret_id: str) -> AssociatedData:
    return AssociatedData("signing_secrets", (owner, subscription_id, secret_id), "sealed_secret")


def signing_key(owner: str, subscription_id: str, secret_id: str) -> AssociatedData:
    row = (owner, subscription_id, secret_id)
    return AssociatedData("signing_secrets", row, "sealed_signing_key")


def secret_of_key(owner: str, signing_key_id: str, secret_id: str) -> AssociatedData:
    row = (owner, signing_key_id, secret_id)
    return AssociatedData("signing_key_secrets", row, "sealed_secret")


def private_key_of_key(owner: str, signing_key_id: str, secret_id: str) -> AssociatedData:
    row = (owner, signing_key_id, secret_id)
    return AssociatedData("signing_key_secrets", row, "sealed_signing_key")


def shared_signing_key(owner: str, signing_key_id: str) -> AssociatedData:
    return AssociatedData("signing_keys", (owner, signing_key_id), "sealed_config")


def credential(owner: str, credential_id: str) -> AssociatedData:
    return AssociatedData("credentials", (owner, credential_id), "sealed_config")


def client_certificate(owner: str, certificate_id: str) -> AssociatedData:
    return AssociatedData("client_certificates", (owner, certificate_id), "sealed_config")
