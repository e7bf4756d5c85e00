"""
The log of events, deliveries and attempts, which people read.
"""
