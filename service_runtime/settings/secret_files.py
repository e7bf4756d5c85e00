"""
Secret settings from files: `NAME_FILE` names the file that has the value of `NAME`.
"""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings

SUFFIX = "_FILE"
MOST_BYTES = 64 * 1024


@dataclass(slots=True)
class SecretFiles:
    """
    The values that were read, by the names of their settings, and the problems by those names.
    """

    values: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


def secret_names(kind: type[BaseSettings]) -> list[str]:
    """
    Return the names of the secret settings of a service.
    """
    fields = kind.model_fields.values()
    return [str(field.alias) for field in fields if field.annotation is SecretStr]


def read_secret_files(kind: type[BaseSettings], environment: Mapping[str, str]) -> SecretFiles:
    """
    Read the files of all secret settings that are given by one.
    """
    found = SecretFiles()
    for name in secret_names(kind):
        path = environment.get(name + SUFFIX)
        if path and environment.get(name):
            found.problems[name] = f"{name}{SUFFIX} must not be given together with {name}"
        elif path:
            try:
                found.values[name] = read_secret(Path(path))
            except ValueError as refused:
                found.problems[name] = f"{name}{SUFFIX} {refused}"
    return found


def read_secret(path: Path) -> str:
    """
    Return the text of a file without the blanks around it.

    Raises `ValueError`, which says what is wrong with the file and shows nothing of its content.
    """
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise ValueError("must name a file")
        if about.st_mode & stat.S_IROTH:
            raise ValueError("must name a file that not all users can read: chmod o-r")
        if about.st_size > MOST_BYTES:
            raise ValueError(f"must name a file of at most {MOST_BYTES} bytes")
        text = path.read_text("utf-8").strip()
    except OSError as error:
        raise ValueError(f"must name a file that can be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ValueError("must name a text in UTF-8") from None
    if not text:
        raise ValueError("must name a file that is not empty")
    return text
