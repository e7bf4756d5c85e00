"""
The tables and their rows. Each function runs in the caller's transaction.
"""
