"""
Curves as Markdown: a Mermaid plot and a table for each, and their section in a document. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.bench.figures import shown

BEGIN, END = "<!-- growth: begin -->", "<!-- growth: end -->"


@dataclass(frozen=True)
class Point:
    """
    The figures that were measured at one position of the x-axis.
    """

    at: int
    figures: dict[str, float]


@dataclass(frozen=True)
class Curve:
    """
    Figures along one x-axis; *plotted* names the figure that is drawn.
    """

    title: str
    along: str
    plotted: str
    points: Sequence[Point] = field(default_factory=tuple)


def section(curve: Curve) -> Iterator[str]:
    """
    Yield the lines of a curve: heading, plot, table.
    """
    yield from (f"### {curve.title}", "", *_plot(curve), "", *_table(curve), "")


def replaced(document: str, content: str) -> str:
    """
    Put *content* between the marks of a document. Raises `ValueError` if they are missing.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the document has no place between {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{content.strip()}\n\n{END}{after}"


def _plot(curve: Curve) -> Iterator[str]:
    values = [point.figures[curve.plotted] for point in curve.points]
    yield "```mermaid"
    yield "xychart-beta"
    yield f'    x-axis "{curve.along}" [{", ".join(_quoted(it.at) for it in curve.points)}]'
    yield f'    y-axis "{curve.plotted}" 0 --> {_ceiling(max(values))}'
    yield f"    line [{', '.join(f'{it:.4g}' for it in values)}]"
    yield "```"


def _table(curve: Curve) -> Iterator[str]:
    names = list(curve.points[0].figures)
    yield f"| {curve.along} | {' | '.join(names)} |"
    yield f"|---:|{'---:|' * len(names)}"
    for point in curve.points:
        yield f"| {point.at:,} | {' | '.join(shown(point.figures[it]) for it in names)} |"


def _quoted(number: int) -> str:
    # Quoted, so that the axis has evenly spaced labels: the points are not evenly spaced.
    return f'"{number:,}"'


def _ceiling(value: float) -> int:
    """
    Return the next number above *value* that has zeros after its first digit.
    """
    unit = int(10 ** (len(str(int(value))) - 1))
    return (int(value / unit) + 1) * unit
