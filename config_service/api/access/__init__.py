"""
Who may call the services: callers, and the guests of their links.
"""
