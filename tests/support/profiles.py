"""
How many examples the property tests try: the same few in each run, or many at
random where `TEST_PROFILE` is `long`.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_MANY = 400

# Time decides nothing: a slow machine is no fault.
settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile(
    "long", settings.get_profile("steady"), derandomize=False, max_examples=2000, print_blob=True
)


def load_profile() -> None:
    """
    Take the profile that `TEST_PROFILE` names.
    """
    settings.load_profile(os.environ.get("TEST_PROFILE", "steady"))


def is_long() -> bool:
    """
    Tell whether the tests search further than usual.
    """
    return settings.get_current_profile_name() == "long"


def expensive(few: int, many: int = _MANY) -> settings:
    """
    Make the settings of a test whose examples take long: *few* of them, or *many* in a
    long search.
    """
    examples = many if is_long() else few
    return settings(max_examples=examples, suppress_health_check=list(HealthCheck))
