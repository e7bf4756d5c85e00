"""
The payloads about returns and exchanges.
"""
