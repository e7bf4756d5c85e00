"""
All items of a list, page by page.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any


def all_items(method: Callable[[Any], Any], request: Any) -> Iterator[Any]:
    """
    Yield the items of all pages of a List method; *request* is not changed. Raises what the
    method raises.
    """
    page = _first(request)
    while True:
        answer = method(page)
        yield from _items(answer)
        if not answer.next_page_token:
            return
        page.page_token = answer.next_page_token


async def all_items_async(method: Callable[[Any], Any], request: Any) -> AsyncIterator[Any]:
    """
    Yield the items of all pages as `all_items` does, of a stub for asyncio.
    """
    page = _first(request)
    while True:
        answer = await method(page)
        for item in _items(answer):
            yield item
        if not answer.next_page_token:
            return
        page.page_token = answer.next_page_token


def _first(request: Any) -> Any:
    page = type(request)()
    page.CopyFrom(request)
    return page


def _items(answer: Any) -> Any:
    """
    Return the items of a page: the one repeated field of the answer.
    """
    (field,) = (it for it in answer.DESCRIPTOR.fields if it.is_repeated)
    return getattr(answer, field.name)
