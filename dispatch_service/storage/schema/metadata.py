"""
The metadata that all tables belong to.
"""

from __future__ import annotations

import sqlalchemy as sa

from service_runtime.database.revisions.compatibility import compatibility_table
from service_runtime.database.tables import NAMING_CONVENTION

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)

compatibility_table(metadata)
