"""
What a client of the services needs beside the stubs: channels and TLS credentials.
"""
