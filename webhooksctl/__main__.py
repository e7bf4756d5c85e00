"""
Runs the program: `webhooksctl`, or `python -m webhooksctl`.
"""

from __future__ import annotations

from webhooksctl.app import app


def main() -> None:
    """
    Run a command and exit with its code.
    """
    app(prog_name="webhooksctl")


if __name__ == "__main__":
    main()
