"""
The generated PHP is valid.
"""

from __future__ import annotations

from pathlib import Path

from tests.clients.programs import need, run
from tests.support.proto_recipes import run_recipe

PARSE = """
foreach (array_slice($argv, 1) as $path) {
    token_get_all(file_get_contents($path), TOKEN_PARSE);
}
echo count($argv) - 1;
"""


def test_php_is_valid(bundle: Path) -> None:
    """
    PHP parses every generated file.
    """
    need("php")
    files = sorted(run_recipe("PHP", bundle).rglob("*.php"))

    assert run("php", "-r", PARSE, "--", *files, folder=bundle) == str(len(files))
