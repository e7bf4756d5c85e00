"""
Server reflection, so that tools need no protos.
"""
