"""
What the recorded calls of one event show: the files in the order of their first calls, and
how often a reader who follows the event has to change the file or the room.

Named functions of hand-written files are counted. A change of file is counted where the next
call is in another file: over all calls, the resumption after an `await` included, or over the
first call of each function.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from tests.support.project_files import module_of, room_of

START = "PublisherServicer._publish"
KNOT = "intake"
PAYLOADS = "payloads"

GROUND = frozenset({"domain", "storage"})
"""
Rooms of nouns and tables, which every step uses. Shared packages count as ground, too.
"""


@dataclass(frozen=True, slots=True)
class Call:
    """
    A call of a function, and the task that it was in: "" in a callback of the event loop.
    """

    time: float
    file: str
    function: str
    task: str


@dataclass(frozen=True, slots=True)
class Moments:
    """
    When nothing was asked of the service any more, when the event was published, and when its
    result was in the database: readings of the monotonic clock.
    """

    idle: float
    published: float
    committed: float


def of_event(calls: Sequence[Call], moments: Moments, afterwards: float) -> list[Call]:
    """
    Select the calls of the event: from the publisher's method to the last function that is
    entered for the first time until *afterwards* seconds after the commit of the result.

    The calls of a task that also runs while nothing is asked of the service are left out.
    Raises `ValueError` if the publisher's method was not called.
    """
    idle = {call.task for call in calls if moments.idle <= call.time < moments.published}
    of_tasks = [
        call
        for call in calls
        if moments.published <= call.time <= moments.committed + afterwards
        and (not call.task or call.task not in idle)
    ]
    starts = [index for index, call in enumerate(of_tasks) if call.function == START]
    if not starts:
        raise ValueError(f"{START} was not called")
    selected = of_tasks[starts[0] :]
    last = first_calls(selected)[-1]
    return selected[: selected.index(last) + 1]


def first_calls(calls: Iterable[Call]) -> list[Call]:
    """
    Return the first call of each function.
    """
    first: dict[tuple[str, str], Call] = {}
    for call in calls:
        first.setdefault((call.file, call.function), call)
    return list(first.values())


def changes(places: Sequence[str]) -> list[tuple[str, str]]:
    """
    Return the pairs of neighbours that differ.
    """
    return [(before, after) for before, after in pairwise(places) if before != after]


def is_ground(room: str) -> bool:
    """
    Tell whether a room is one that every step uses.
    """
    return room in GROUND or "/" in room


def way(calls: Sequence[Call]) -> list[str]:
    """
    Write the way of the event: rooms, under each its files, beside each the functions that are
    entered there for the first time.
    """
    lines: list[str] = []
    entered: set[str] = set()
    for room, in_room in groupby(first_calls(calls), key=lambda call: room_of(call.file)):
        lines.append(f"{room}{' (again)' if room in entered else ''}")
        entered.add(room)
        for file, in_file in groupby(in_room, key=lambda call: call.file):
            functions = ", ".join(call.function for call in in_file)
            mark = "* " if file in entered else "  "
            entered.add(file)
            lines.append(f"{mark}  {module_of(file)}: {functions}")
    return lines


def totals(calls: Sequence[Call]) -> list[tuple[str, int]]:
    """
    Return the names and values of the figures.
    """
    first = first_calls(calls)
    rooms = [room_of(call.file) for call in first]
    all_rooms = changes(rooms)
    upper_rooms = changes([room for room in rooms if not is_ground(room)])
    return [
        *_files({call.file for call in first}),
        ("named functions, payloads left out", sum(room != PAYLOADS for room in rooms)),
        ("named functions", len(first)),
        ("changes of file, all calls", len(changes([call.file for call in calls]))),
        ("changes of file, first calls", len(changes([call.file for call in first]))),
        ("rooms entered", len(set(rooms))),
        ("changes of room, first calls", len(all_rooms)),
        (f"  from or to {KNOT}", _at_knot(all_rooms)),
        ("changes of room, first calls, ground rooms left out", len(upper_rooms)),
        (f"  from or to {KNOT}, ground rooms left out", _at_knot(upper_rooms)),
    ]


def table(rows: Iterable[tuple[str, int]]) -> list[str]:
    """
    Write figures as a table in Markdown.
    """
    return [
        "| figure | count |",
        "| --- | ---: |",
        *(f"| {name} | {count} |" for name, count in rows),
    ]


def _files(files: set[str]) -> list[tuple[str, int]]:
    rooms = [room_of(file) for file in files]
    shared = sum("/" in room for room in rooms)
    payloads = rooms.count(PAYLOADS)
    return [
        ("files entered", len(files)),
        ("  of the dispatch service, payloads left out", len(files) - shared - payloads),
        ("  of the payloads", payloads),
        ("  of the shared packages", shared),
    ]


def _at_knot(steps: Iterable[tuple[str, str]]) -> int:
    return sum(KNOT in step for step in steps)
