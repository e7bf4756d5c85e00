"""
The sample events of webhooksctl, which it has in a file of its own because it is a client, and a
command that writes them from those of the dispatch service.

    python -m tests.support.command_samples
"""

from __future__ import annotations

import json
from pathlib import Path

from google.protobuf.json_format import MessageToDict

from dispatch_service.payloads import example_event
from shipedge.webhooks.catalogue import CATALOGUE

PATH = Path(__file__).parent.parent.parent / "webhooksctl/samples/events.json"


def content() -> str:
    """
    Return the file: an event a line.
    """
    lines = [
        f"{json.dumps(event_type)}: "
        + json.dumps(
            MessageToDict(example_event(event_type), preserving_proto_field_name=True),
            ensure_ascii=False,
        )
        for event_type in CATALOGUE.event_types
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    PATH.write_text(content())
