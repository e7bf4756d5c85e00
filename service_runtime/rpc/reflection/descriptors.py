"""
An index of descriptors: which file declares a symbol, and what it imports.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)


class DescriptorIndex:
    """
    Finds the files of symbols and of extensions among *files*.
    """

    def __init__(self, files: Iterable[FileDescriptorProto]) -> None:
        self._content: dict[str, bytes] = {}
        self._imports: dict[str, Sequence[str]] = {}
        self._by_symbol: dict[str, str] = {}
        self._by_extension: dict[tuple[str, int], str] = {}
        self._types: set[str] = set()
        for file in files:
            self._add(file)

    def file_of(self, symbol: str) -> str | None:
        """
        Return the file that declares a message, field, oneof, enum, value, service, method or
        extension, by its full name.
        """
        return self._by_symbol.get(symbol)

    def file_of_extension(self, extended: str, number: int) -> str | None:
        """
        Return the file that declares an extension of a message.
        """
        return self._by_extension.get((extended, number))

    def extensions_of(self, message: str) -> Sequence[int] | None:
        """
        Return the numbers of the extensions of a message, None where there is no such message.
        """
        if message not in self._types:
            return None
        return sorted(number for extended, number in self._by_extension if extended == message)

    def with_imports(self, name: str, known: Container[str] = ()) -> dict[str, bytes]:
        """
        Return a file and all that it imports, by name, but for imports that are *known*.

        Raises `KeyError` where there is no such file.
        """
        found, queue, seen = {name: self._content[name]}, [name], {name}
        while queue:
            for imported in self._imports[queue.pop()]:
                if imported in seen:
                    continue
                seen.add(imported)
                queue.append(imported)
                if imported not in known:
                    found[imported] = self._content[imported]
        return found

    def _add(self, file: FileDescriptorProto) -> None:
        self._content[file.name] = file.SerializeToString()
        self._imports[file.name] = tuple(file.dependency)
        for symbol in _symbols(file):
            self._by_symbol[symbol] = file.name
        for message, name in _messages(file.message_type, file.package):
            self._types.add(name)
            self._add_extensions(message.extension, file.name)
        self._add_extensions(file.extension, file.name)

    def _add_extensions(self, extensions: Iterable[FieldDescriptorProto], file: str) -> None:
        for extension in extensions:
            self._by_extension[extension.extendee.lstrip("."), extension.number] = file


def _symbols(file: FileDescriptorProto) -> Iterator[str]:
    scope = file.package
    for message, name in _messages(file.message_type, scope):
        yield name
        for inner in (message.field, message.oneof_decl, message.extension):
            yield from (f"{name}.{it.name}" for it in inner)
        yield from _enums(message.enum_type, name)
    yield from _enums(file.enum_type, scope)
    for extension in file.extension:
        yield _joined(scope, extension.name)
    for service in file.service:
        name = _joined(scope, service.name)
        yield name
        yield from (f"{name}.{method.name}" for method in service.method)


def _messages(
    messages: Iterable[DescriptorProto], scope: str
) -> Iterator[tuple[DescriptorProto, str]]:
    """
    Yield messages at any depth with their full names.
    """
    for message in messages:
        name = _joined(scope, message.name)
        yield message, name
        yield from _messages(message.nested_type, name)


def _enums(enums: Iterable[EnumDescriptorProto], scope: str) -> Iterator[str]:
    # The values of an enum stand beside it, not in it.
    for enum in enums:
        yield _joined(scope, enum.name)
        yield from (_joined(scope, value.name) for value in enum.value)


def _joined(scope: str, name: str) -> str:
    return f"{scope}.{name}" if scope else name
