"""
Blocks of documents, and commands for grpcurl as commands for buf.
"""

from __future__ import annotations

import pytest

from tests.support.documented.blocks import blocks_of
from tests.support.documented.grpcurl import translated
from tests.support.documented.shell import Shell

DOCUMENT = """
Text

```sh
one \\
  two
```

1. In a list:

    ```python
    # a.py
    print()
    ```
"""


def test_blocks() -> None:
    """
    Those in lists lose their indentation; one that names a file is saved as it.
    """
    first, second = blocks_of(DOCUMENT)

    assert (first.language, first.text, first.line, first.file) == ("sh", "one \\\n  two\n", 4, "")
    assert (second.language, second.file) == ("python", "a.py")
    assert second.text == "# a.py\nprint()\n"


@pytest.mark.parametrize(
    ("text", "production"),
    [
        ("grpcurl -plaintext 127.0.0.1:50051 list", False),
        ("webhooksctl health", False),
        ("grpcurl -cacert ca.pem config.internal:50051 list", True),
        ("systemctl reload webhooks-config", True),
    ],
)
def test_mode(text: str, production: bool) -> None:
    """
    What names hosts, units or files of an installation is for production.
    """
    (block,) = blocks_of(f"```sh\n{text}\n```\n")

    assert block.production is production


def test_commands_without_an_end_are_stopped() -> None:
    """
    A watch goes on until Ctrl-C.
    """
    typed = Shell._typed("grpcurl -d '{}' \\\n  a:1 x.Y/WatchAttempts\ngrpcurl a:1 list\n")

    assert typed == "lasting grpcurl -d '{}' a:1 x.Y/WatchAttempts\ngrpcurl a:1 list\n"


def test_commands_for_buf() -> None:
    """
    Flags for TLS, requests and lists have their counterparts; another one is refused.
    """
    plain = translated(["-plaintext", "-d", "{}", "a:1", "x.Y/Z"])
    secure = translated(["-cacert", "ca.pem", "-H", "a: b", "a:1", "list"])

    assert plain[1:] == [
        *("curl", "--protocol", "grpc", "--http2-prior-knowledge", "-d", "{}", "http://a:1/x.Y/Z")
    ]
    assert secure[4:] == ["--cacert", "ca.pem", "-H", "a: b", "--list-services", "https://a:1"]
    with pytest.raises(ValueError, match="-vv cannot be translated"):
        translated(["-vv", "a:1", "list"])
