"""
`python -m dispatch_service [serve|migrate|probe|settings]`.
"""

from dispatch_service.app import run
from dispatch_service.settings import Settings
from shipedge.webhooks.runtime.command import main

if __name__ == "__main__":
    main("dispatch_service", Settings, run)
