"""
The fault test: `python -m tests.faults [--database NAME] [--jobs N] [FAULT …]`.

It brings about faults around running services and checks that every promise is kept. A FAULT is
a name of the list, or the beginning of some: `clock` stands for all faults of the clock.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tests.faults.catalogue import FAULTS
from tests.faults.harness import runner
from tests.faults.harness.model import BOTH, Fault

JOBS = 7
"""
How many scenarios run at a time: all but one of them wait for most of it.
"""


def chosen(names: Sequence[str]) -> list[Fault]:
    """
    Return the faults of these names, all if there is none. Raises `ValueError` for an unknown one.
    """
    wanted = {fault for name in names for fault in _named(name)}
    return [fault for fault in FAULTS if not names or fault in wanted]


def _named(name: str) -> list[Fault]:
    """
    Return the fault of a name, otherwise those whose names begin with it.
    """
    exact = [fault for fault in FAULTS if fault.name == name]
    if found := exact or [fault for fault in FAULTS if fault.name.startswith(name)]:
        return found
    known = ", ".join(fault.name for fault in FAULTS)
    raise ValueError(f"there is no fault {name}; there are: {known}")


def main(arguments: Sequence[str]) -> int:
    """
    Run the fault test from the command line; return the exit code.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("names", nargs="*", metavar="FAULT", help="default: all")
    parser.add_argument("--database", choices=BOTH, action="append", help="default: both")
    parser.add_argument("--jobs", type=int, default=JOBS, help="scenarios at a time")
    parser.add_argument("--list", action="store_true", help="print the faults and end")
    options = parser.parse_args(arguments)
    if options.list:
        for fault in FAULTS:
            print(f"{fault.name:<28} {'+'.join(fault.databases):<18} {fault.promise}")
        return 0
    try:
        faults = chosen(options.names)
    except ValueError as unknown:
        parser.error(str(unknown))
    return runner.main(faults, options.database or BOTH, options.jobs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
