"""
The certificates of a service: read, checked, and read again when they change.
"""
