"""
The log as it grows: attempts in the order in which their results were written.
"""
