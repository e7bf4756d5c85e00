"""
Attacks on a pair in production mode: one caller tries to shut out others, or to do what it may
not.
"""
