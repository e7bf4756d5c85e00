"""
Flags that many commands have.
"""

from __future__ import annotations

from typing import Annotated

import typer

from webhooksctl.options.completion import event_types
from webhooksctl.output.formats import Format

Owner = Annotated[
    str, typer.Option("--owner", help="accounts/100, warehouses/W1, or 100 for an account.")
]
EventType = Annotated[
    str,
    typer.Argument(help="The event type: orders/shipped.", autocompletion=event_types),
]
Output = Annotated[Format, typer.Option("--output", "-o", help="How the result is shown.")]
Limit = Annotated[int, typer.Option("--limit", min=0, help="At most this many; 0: all.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Answer yes to the question.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check only, and change nothing.")]
Identifier = Annotated[str, typer.Option("--id", help="The last part of its name; empty: made.")]
Grace = Annotated[str, typer.Option("--grace", help="For how long the old one is used too: 24h.")]
