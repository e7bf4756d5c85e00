"""
The payloads of `replenishments/*`.
"""
