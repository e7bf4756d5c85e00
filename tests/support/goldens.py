"""
The golden files of the payload versions: where they lie, how they are
written, and a command that writes those that are missing.

    python -m tests.support.goldens

It never overwrites a file: a published payload does not change. Read what it
wrote before it is committed.
"""

import sys
from pathlib import Path

import msgspec

from dispatch_service.payloads import CONTRACTS, example_body

FOLDER = Path(__file__).parent.parent / "unit" / "dispatch_service" / "payloads" / "golden"


def golden_path(event_type: str, payload_version: str) -> Path:
    """
    Name the golden file of a payload version: `orders_shipped_v2.json`.
    """
    return FOLDER / f"{event_type.replace('/', '_')}_{payload_version}.json"


def compact(text: bytes) -> bytes:
    """
    Take the white space out of JSON; all else stays byte for byte.
    """
    return msgspec.json.format(text, indent=-1)


def pretty(body: bytes) -> bytes:
    """
    Lay JSON out for reading; its numbers keep their digits.
    """
    return msgspec.json.format(body, indent=2) + b"\n"


def write_missing() -> list[Path]:
    """
    Write the golden files that do not exist yet, and tell which.
    """
    written = []
    for event_type, payload_version in CONTRACTS:
        path = golden_path(event_type, payload_version)
        if not path.exists():
            path.write_bytes(pretty(example_body(event_type, payload_version)))
            written.append(path)
    return written


if __name__ == "__main__":
    for path in write_missing():
        sys.stdout.write(f"wrote {path.name}: read it before you commit it\n")
