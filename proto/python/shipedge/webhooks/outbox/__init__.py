"""
A transactional outbox for users of SQLAlchemy: events are written in the transaction of the
change that they report, and published after it is committed.
"""

from shipedge.webhooks.outbox.relay import OutboxRelay
from shipedge.webhooks.outbox.table import OutboxEvent, add, metadata

__all__ = ["OutboxEvent", "OutboxRelay", "add", "metadata"]
