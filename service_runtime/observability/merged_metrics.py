"""
Metrics of several processes, merged into one. No input or output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import msgspec

How = Literal["sum", "max", "min"]
"""
How gauges of several processes are merged: `max` for a number that each of them counts whole.
"""

_COUNTED = frozenset({"counter", "histogram"})
_MERGE: Mapping[How, Callable[[float, float], float]] = {
    "sum": lambda one, other: one + other,
    "max": max,
    "min": min,
}


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """
    A number with its full name and labels.
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
    Return each family of all *processes* once, in the order in which they come.
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
    # The start time of a counter is no count.
    return "min" if sample.name.endswith("_created") else family.how


class MergedMetrics:
    """
    The metrics of processes that start and end.

    Counters include the last values of ended processes, so they never fall. Gauges do not.
    """

    def __init__(self) -> None:
        self._ended: list[Family] = []

    def end(self, last: Sequence[Family]) -> None:
        """
        Add the counters of an ended process, from its last report.
        """
        counted = [family for family in last if family.kind in _COUNTED]
        self._ended = merged([self._ended, counted])

    def with_living(self, processes: Iterable[Sequence[Family]]) -> list[Family]:
        """
        Return the counters of all processes that ever ran, and the gauges of running ones.
        """
        return merged([self._ended, *processes])
