"""
The command line for operators: a client of both services, and nothing more.
"""
