"""
Runs the console: `python -m console`.
"""

from __future__ import annotations

import os
import sys

import uvicorn

from console.app import create_app
from console.settings import SettingsInvalidError, read_settings


def main() -> int:
    """
    Serve until a signal comes; return the exit code.
    """
    try:
        settings = read_settings(os.environ)
    except SettingsInvalidError as refused:
        print(f"not started:\n{refused}", file=sys.stderr)  # noqa: T201 - for the person at the terminal
        return 1
    uvicorn.run(
        create_app(settings),
        host=settings.host(),
        port=settings.port(),
        log_level="warning",
        server_header=False,
        ssl_certfile=settings.certificate_file or None,
        ssl_keyfile=settings.tls_key_file or None,
        # Nothing in front of the console says who asks, or how.
        proxy_headers=False,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
