"""
The validation of published events.
"""
