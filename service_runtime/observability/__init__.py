"""
Logs and metrics.
"""
