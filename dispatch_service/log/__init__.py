"""
The log of events, deliveries and attempts: written with the result, read by people.
"""
