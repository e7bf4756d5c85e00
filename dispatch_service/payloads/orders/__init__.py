"""
The payloads of `orders/*`.
"""
