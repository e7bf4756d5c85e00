"""
Curves of the benchmark as Markdown.
"""

from __future__ import annotations

import pytest

from tests.bench.plots import BEGIN, END, Curve, Point, replaced, section

CURVE = Curve(
    "Endpoints",
    "endpoints",
    "CPU",
    (Point(1, {"CPU": 250.0, "rate": 4000.0}), Point(2000, {"CPU": 305.5, "rate": 3900.0})),
)


def test_curve_is_a_plot_and_a_table() -> None:
    """
    A curve is a plot, whose y-axis starts at zero, and a table.
    """
    lines = list(section(CURVE))

    assert '    x-axis "endpoints" ["1", "2,000"]' in lines
    assert '    y-axis "CPU" 0 --> 400' in lines
    assert "    line [250, 305.5]" in lines
    assert "| 2,000 | 306 | 3,900 |" in lines


@pytest.mark.parametrize(("most", "ceiling"), [(0.7, 1), (9.9, 10), (250.0, 300), (3999.0, 4000)])
def test_axis_ends_above_the_highest_point(most: float, ceiling: int) -> None:
    """
    The y-axis ends at a round number above the largest value.
    """
    curve = Curve("t", "n", "y", (Point(1, {"y": most}),))

    assert f'    y-axis "y" 0 --> {ceiling}' in section(curve)


def test_section_of_a_document_is_replaced() -> None:
    """
    Only the text between the marks changes; a second time changes nothing.
    """
    document = f"# Title\n{BEGIN}\nold\n{END}\nrest\n"
    once = replaced(document, "new\n")

    assert once == f"# Title\n{BEGIN}\n\nnew\n\n{END}\nrest\n"
    assert replaced(once, "new") == once


@pytest.mark.parametrize("document", ["", BEGIN, END])
def test_document_without_marks_is_refused(document: str) -> None:
    """
    A document without both marks is an error.
    """
    with pytest.raises(ValueError, match="no place"):
        replaced(document, "new")
