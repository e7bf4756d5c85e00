"""
The audit log, whose entries are chained so that a change by others than the service shows.
"""
