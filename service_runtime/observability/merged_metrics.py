"""
The figures of several processes as those of one. No input or output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import msgspec

How = Literal["sum", "max", "min"]
"""
What a gauge of several processes comes to: `max` for a number that each of them sees whole.
"""

_COUNTED = frozenset({"counter", "histogram"})
_MERGE: Mapping[How, Callable[[float, float], float]] = {
    "sum": lambda one, other: one + other,
    "max": max,
    "min": min,
}


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """
    One number, with its full name and labels.
    """

    name: str
    labels: dict[str, str]
    value: float


class Family(msgspec.Struct, frozen=True, array_like=True):
    """
    The samples of one metric of a process.
    """

    name: str
    meaning: str
    kind: str
    how: How
    samples: list[Sample]


def merged(processes: Iterable[Sequence[Family]]) -> list[Family]:
    """
    Return the families of all *processes*, each once, in the order in which they come.
    """
    found: dict[str, list[Family]] = {}
    for families in processes:
        for family in families:
            found.setdefault(family.name, []).append(family)
    return [_together(same) for same in found.values()]


def _together(same: Sequence[Family]) -> Family:
    first = same[0]
    values: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for sample in (sample for family in same for sample in family.samples):
        key = (sample.name, tuple(sample.labels.items()))
        merge = _MERGE[_how(first, sample)]
        values[key] = merge(values[key], sample.value) if key in values else sample.value
    samples = [Sample(name, dict(labels), value) for (name, labels), value in values.items()]
    return Family(first.name, first.meaning, first.kind, first.how, samples)


def _how(family: Family, sample: Sample) -> How:
    # The instant at which a counter began is no count.
    return "min" if sample.name.endswith("_created") else family.how


class MergedMetrics:
    """
    The figures of processes that come and go.

    What one that has ended counted stays in the counters, so that they never fall; its
    gauges go with it.
    """

    def __init__(self) -> None:
        self._ended: list[Family] = []

    def end(self, last: Sequence[Family]) -> None:
        """
        Keep what a process that has ended had counted by its last report.
        """
        counted = [family for family in last if family.kind in _COUNTED]
        self._ended = merged([self._ended, counted])

    def with_living(self, processes: Iterable[Sequence[Family]]) -> list[Family]:
        """
        Return the figures of all processes that ever were, and the gauges of the living.
        """
        return merged([self._ended, *processes])
