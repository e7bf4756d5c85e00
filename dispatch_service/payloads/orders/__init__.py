"""
The payloads about orders, their items and refunds.
"""
