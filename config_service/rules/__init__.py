"""
What may be configured. No I/O, no clock: `now` is passed in.
"""
