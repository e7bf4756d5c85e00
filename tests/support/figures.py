"""
The figures of metrics, as tests compare them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from service_runtime.observability.instruments import REGISTRY


def figure(name: str, **labels: str) -> float:
    """
    Return the value of a sample in this process, 0 if there is none.
    """
    return REGISTRY.get_sample_value(name, labels) or 0.0


@contextmanager
def moved(name: str, **labels: str) -> Iterator[Callable[[], float]]:
    """
    Yield what returns by how much a sample has grown since the block began.
    """
    before = figure(name, **labels)
    yield lambda: figure(name, **labels) - before


def read_figures(text: str) -> dict[str, float]:
    """
    Read the text that Prometheus gets: values by names with their labels.
    """
    lines: Iterable[str] = text.splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
    return {name: float(value) for name, value in pairs}
