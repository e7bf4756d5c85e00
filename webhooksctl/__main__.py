"""
Runs the program: `webhooksctl`, or `python -m webhooksctl`.
"""

from __future__ import annotations

import os

# The gRPC library writes handshakes that failed to the error output, where errors are one sentence.
# It reads this when it is imported.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from webhooksctl.app import app


def main() -> None:
    """
    Run a command and exit with its code.
    """
    app(prog_name="webhooksctl")


if __name__ == "__main__":
    main()
