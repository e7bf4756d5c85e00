"""
`python -m dispatch_service [serve|migrate|probe|settings] [--workers N]`.
"""

import gc

if __name__ == "__main__":
    # Collections take a seventh of the time of these imports, and find nothing.
    gc.disable()
    from dispatch_service.app import run
    from dispatch_service.settings import Settings
    from dispatch_service.supervisor import serve
    from service_runtime.process.command import WorkerOption, main

    gc.enable()
    main("dispatch_service", Settings, serve, WorkerOption("SHIPEDGE_DISPATCH_WORKERS", run))
