"""
All communication with the config service, and what a change means for the backlog.
"""
