"""
How long a certificate is still valid, in words.
"""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from console.words.results import Verdict

SOON_DAYS, VERY_SOON_DAYS = 30, 7
"""
From so many days before the end on, the services warn too.
"""


def of_certificate(not_before: Timestamp, not_after: Timestamp, now: datetime) -> Verdict:
    """
    Say for how many whole days a certificate is valid at the time *now*.
    """
    end = not_after.ToDatetime(UTC)
    if end <= now:
        return Verdict("Expired", "bad", f"on {end:%Y-%m-%d}")
    begin = not_before.ToDatetime(UTC)
    if begin > now:
        return Verdict("Not valid yet", "bad", f"from {begin:%Y-%m-%d %H:%M} UTC on")
    days = (end - now).days
    left = f"{days} day{'s' * (days != 1)} left, until {end:%Y-%m-%d}"
    if days < VERY_SOON_DAYS:
        return Verdict("Expires very soon", "bad", left)
    if days < SOON_DAYS:
        return Verdict("Expires soon", "plain", left)
    return Verdict("Valid", "good", left)
