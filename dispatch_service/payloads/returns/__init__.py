"""
The payloads of `returns/*`.
"""
