"""
Which subscriptions want an event, and why. Pure.
"""
