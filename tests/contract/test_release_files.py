"""
What a release consists of beside the code: the image, the policy on vulnerabilities, the audit.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from service_runtime.rpc.access import RULES

ROOT = Path(__file__).parent.parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_image_is_production_unless_set_otherwise() -> None:
    """
    Whoever runs the image without settings gets a service that refuses to start, not an open one.
    """
    final = DOCKERFILE.rpartition("\nFROM ")[2]

    assert re.search(r"\bSHIPEDGE_ENVIRONMENT=production\b", final)


def test_base_image_can_be_pinned() -> None:
    """
    One build argument is the base of all stages, so that a digest pins all of them.
    """
    assert re.search(r"^ARG PYTHON_IMAGE=", DOCKERFILE, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) == {"${PYTHON_IMAGE}"}


def test_image_compares_downloads_with_their_hashes() -> None:
    """
    Nothing is installed by version alone: each download has a hash, or none is made.
    """
    installed = re.findall(r"pip (?:install|wheel) (.*)", DOCKERFILE)

    assert installed
    for line in installed:
        assert "--require-hashes" in line or "--no-deps" in line


def test_image_has_the_command_line() -> None:
    """
    An operator finds `webhooksctl` where the services are.
    """
    assert "--requirement requirements/image.txt" in DOCKERFILE
    assert "-r webhooksctl.txt" in (ROOT / "requirements/image.txt").read_text()
    assert re.search(r"^COPY webhooksctl webhooksctl$", DOCKERFILE, re.MULTILINE)


def test_image_has_the_published_contract() -> None:
    """
    The image brings the descriptor set for grpcurl, and it has all methods.
    """
    copied = re.compile(r"^COPY (\S+) /opt/webhooks/share/webhooks.binpb$", re.MULTILINE)
    (source,) = copied.findall(DOCKERFILE)
    published = FileDescriptorSet.FromString((ROOT / source).read_bytes())

    methods = {
        f"/{file.package}.{service.name}/{method.name}"
        for file in published.file
        for service in file.service
        for method in service.method
    }
    feed = {path for path in RULES if path.startswith("/shipedge.webhooks.feed.")}
    assert set(RULES) - feed <= methods


@pytest.mark.parametrize("words", ["Report", "Supported versions", "make audit"])
def test_security_policy(words: str) -> None:
    """
    `SECURITY.md` says how to report, what is supported and how packages are checked.
    """
    assert words in (ROOT / "SECURITY.md").read_text()


def test_audit_admits_ignorance() -> None:
    """
    `make audit` writes the bill of materials, and says so where it could not learn anything.
    """
    script = (ROOT / ".ci/audit").read_text()

    assert "cyclonedx-py" in script
    assert "pip-audit" in script
    assert "cannot be reached" in script
    assert re.search(r"^audit:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_no_service_has_the_key_of_the_operator() -> None:
    """
    In the compose file the operator's folder is mounted by nothing that listens.
    """
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())

    for name in ("config", "dispatch"):
        assert "operator" not in str(compose["services"][name].get("volumes", ()))
