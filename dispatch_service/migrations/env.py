"""
Runs the migrations of the dispatch service.
"""

from dispatch_service.schema import metadata
from shipedge.webhooks.runtime.migrations import run_environment

run_environment(metadata)
