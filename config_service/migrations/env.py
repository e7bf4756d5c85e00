"""
Runs the migrations of the config service.
"""

from config_service.schema import metadata
from shipedge.webhooks.runtime.migrations import run_environment

run_environment(metadata)
