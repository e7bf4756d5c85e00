"""
The fields of a payload version, read from its JSON Schema.

The documentation and the comparison of versions use them.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Schema = Mapping[str, Any]


class Leaf(NamedTuple):
    """
    A field that holds a value, not an object.

    *path* is written like `items[].sku`, *type* like `string or null`.
    """

    path: str
    type: str
    description: str

    @property
    def plain_path(self) -> str:
        """
        The path without `[]`.
        """
        return self.path.replace("[]", "")


def leaves(schema: Schema) -> Iterator[Leaf]:
    """
    Yield the fields of *schema* in the order of the payload.
    """
    yield from _leaves(schema, "", schema["$defs"], nullable=False)


def _leaves(part: Schema, path: str, shapes: Schema, *, nullable: bool) -> Iterator[Leaf]:
    shape, shape_nullable = _resolved(part, shapes)
    nullable = nullable or shape_nullable
    if properties := shape.get("properties"):
        for name, inner in properties.items():
            yield from _leaves(inner, f"{path}.{name}" if path else name, shapes, nullable=nullable)
    elif "items" in shape:
        yield from _leaves(shape["items"], f"{path}[]", shapes, nullable=nullable)
    else:
        yield Leaf(path, _type(shape, nullable=nullable), part.get("description", ""))


def _resolved(part: Schema, shapes: Schema) -> tuple[Schema, bool]:
    """
    Follow a reference, and choose the other type of a union with null.
    """
    if options := part.get("anyOf"):
        (chosen,) = (option for option in options if option.get("type") != "null")
        return _resolved(chosen, shapes)[0], True
    if reference := part.get("$ref"):
        return shapes[reference.rpartition("/")[2]], False
    return part, False


def _type(shape: Schema, *, nullable: bool) -> str:
    name = shape.get("type") or _type_of(shape["enum"][0])
    if shape.get("format"):
        name = f"{name} ({shape['format']})"
    return f"{name} or null" if nullable and name != "null" else name


def _type_of(value: object) -> str:
    return "integer" if isinstance(value, int) else "string"
