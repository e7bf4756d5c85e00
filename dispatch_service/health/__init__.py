"""
What attempts say about endpoints, and what follows from it.
"""
