"""
What requests are signed with: secrets, and the keys that subscriptions share.
"""
