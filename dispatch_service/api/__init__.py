"""
The gRPC services: parse names, check access, call, convert.
"""
