"""
Endpoint events: what is reported, what follows from it, and what is kept, watched and listed.
"""
