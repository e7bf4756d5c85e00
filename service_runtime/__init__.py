"""
What both services run on: servers, processes, settings, the database, keys, logs and metrics.
"""
