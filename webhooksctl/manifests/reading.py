"""
YAML of manifests, in which no key is written twice.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml


class ManifestInvalidError(Exception):
    """
    A manifest is invalid. The message says where, and what is allowed.
    """


class _Loader(yaml.SafeLoader):
    """
    Refuses mappings with a key twice: the first would be lost without a word.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - the library's
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        for position, key in enumerate(keys):
            if key in keys[:position]:
                line = node.value[position][0].start_mark.line + 1
                raise ManifestInvalidError(f"line {line}: {key} is there twice")
        return super().construct_mapping(node, deep=deep)


def documents(text: str) -> list[Any]:
    """
    Return the documents of a YAML text. Raises `ManifestInvalidError`.
    """
    try:
        # The loader makes plain values only, as the safe one from which it is derived.
        found = yaml.load_all(text, Loader=_Loader)
        return [each for each in found if each is not None]
    except yaml.YAMLError as refused:
        raise ManifestInvalidError(f"no YAML: {refused}") from refused


def mapping(value: Any, where: str, allowed: tuple[str, ...] = ()) -> dict[str, Any]:
    """
    Return a mapping with texts as keys, of *allowed* if there are any.

    Raises `ManifestInvalidError`.
    """
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ManifestInvalidError(f"{where} must be a mapping")
    if allowed and (unknown := sorted(value.keys() - set(allowed))):
        names = ", ".join(allowed)
        raise ManifestInvalidError(f"{where}: {unknown[0]} is no field; allowed are {names}")
    return value
