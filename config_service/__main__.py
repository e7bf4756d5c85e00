"""
`python -m config_service [serve|migrate|probe|settings]`.
"""

from config_service.app import run
from config_service.settings import Settings
from service_runtime.process.command import main

if __name__ == "__main__":
    main("config_service", Settings, run)
