"""
The config service: subscriptions and what belongs to them, and the feed of them.
"""
