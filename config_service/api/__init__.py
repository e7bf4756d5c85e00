"""
The gRPC services: parse names, check the request, call the store, convert.
"""
