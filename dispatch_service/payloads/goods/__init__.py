"""
The payloads about inventory and replenishments.
"""
