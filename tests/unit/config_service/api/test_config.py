"""
The classes whose methods make up `ConfigService`.
"""

from __future__ import annotations

from collections import Counter

from config_service.api.config import ConfigServicer
from shipedge.webhooks.config.v1.config_service_pb2_grpc import ConfigServiceServicer

PARTS = [kind for kind in ConfigServicer.__bases__ if kind is not ConfigServiceServicer]


def test_parts_stand_side_by_side() -> None:
    """
    No part inherits from another, and no two define the same method.
    """
    defined = Counter(name for part in PARTS for name in vars(part) if not name.startswith("__"))

    assert [part.__bases__ for part in PARTS] == [(object,)] * len(PARTS)
    assert defined.most_common(1)[0][1] == 1


def test_every_method_of_the_contract_is_served() -> None:
    """
    Each method of the service is defined by a part.
    """
    methods = {name for name in vars(ConfigServiceServicer) if not name.startswith("_")}

    assert methods <= {name for part in PARTS for name in vars(part)}
