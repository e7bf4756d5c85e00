"""
The metrics and spans of what the queue writes.
"""
