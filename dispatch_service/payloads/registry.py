"""
Which payload versions exist and what builds each: those that the catalogue
offers, each joined with its builder.
"""

from collections.abc import Mapping
from typing import get_type_hints

from . import (
    corrections,
    endpoints,
    levels,
    order_items,
    orders_v1,
    orders_v2,
    orders_v3,
    refunds,
    replenishments,
    returns,
)
from .offers import Builder, Contract, Key, Offer, read_offers, wire_name


def assemble(
    offers: Mapping[str, Offer], builders: Mapping[Key, Builder]
) -> Mapping[Key, Contract]:
    """
    Join every payload version on offer with its builder.

    Raises `ValueError` where one of the two is missing: what is offered can
    be rendered, and nothing is rendered that nobody can choose.
    """
    offered = {
        (offer.event_type, version)
        for offer in offers.values()
        for version in offer.payload_versions
    }
    if unmatched := offered ^ builders.keys():
        message = f"Payload versions without an offer or a builder: {sorted(unmatched)}."
        raise ValueError(message)
    return {
        (event_type, version): Contract(
            offer=offers[event_type],
            payload_version=version,
            wire_name=wire_name(event_type, version),
            shape=get_type_hints(build)["return"],
            build=build,
        )
        for (event_type, version), build in builders.items()
    }


BUILDERS: Mapping[Key, Builder] = {
    **orders_v1.BUILDERS,
    **orders_v2.BUILDERS,
    **orders_v3.BUILDERS,
    **order_items.BUILDERS,
    **refunds.BUILDERS,
    **corrections.BUILDERS,
    **levels.BUILDERS,
    **replenishments.BUILDERS,
    **returns.BUILDERS,
    **endpoints.BUILDERS,
}

OFFERS = read_offers()
CONTRACTS = assemble(OFFERS, BUILDERS)
