"""
TLS to receivers: contexts with certificates, and why a handshake failed.
"""
