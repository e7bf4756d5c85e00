"""
The web console: a client of both services that shows their resources as pages.
"""
