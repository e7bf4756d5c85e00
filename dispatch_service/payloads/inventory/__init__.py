"""
The payloads of `inventory/*`.
"""
