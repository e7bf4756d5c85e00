"""
The nouns and the pure decisions. No I/O, no clock: `now` is passed in.
"""
