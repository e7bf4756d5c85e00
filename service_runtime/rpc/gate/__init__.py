"""
What stands before every method: who calls, how much of everything a caller may use, and
messages that are counted before they are decoded.
"""
