"""
Channels and TLS credentials, which a client needs besides the stubs.
"""
