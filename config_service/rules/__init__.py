"""
The rules on configuration. No I/O, no clock: `now` is passed in.
"""
