"""
Runs the migrations of the config service.
"""

from config_service.store.schema import metadata
from service_runtime.database.revisions.runs import run_environment

run_environment(metadata)
