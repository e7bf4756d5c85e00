"""
The tables, and the encryption of their columns.
"""
