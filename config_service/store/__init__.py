"""
The tables and their rows: each function runs in the caller's transaction.
"""
