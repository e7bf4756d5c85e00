"""
A client of the services: channels and TLS credentials, publishers, errors and lists.
"""
