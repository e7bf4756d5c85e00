"""
`python -m config_service [serve|migrate|probe|settings]`.
"""

import gc

if __name__ == "__main__":
    # Collections take a seventh of the time of these imports, and find nothing.
    gc.disable()
    from config_service.app import run
    from config_service.settings import Settings
    from service_runtime.process.command import main

    gc.enable()
    main("config_service", Settings, run)
