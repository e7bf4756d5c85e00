"""
The config service: subscriptions, credentials, certificates and settings, and their feed.
"""
