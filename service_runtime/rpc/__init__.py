"""
The server side of the API: access, errors, names, pages, filters, health.
"""
