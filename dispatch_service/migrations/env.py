"""
Runs the migrations of the dispatch service.
"""

from dispatch_service.storage.schema import metadata
from service_runtime.database.revisions.runs import run_environment

run_environment(metadata)
