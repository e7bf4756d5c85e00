"""
The server half of the API: callers and access, errors, names, pages, filters, health.
"""
