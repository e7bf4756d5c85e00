"""
Retention, erasure and repair: work that is due by time.
"""
