"""
The feed of all resources: its pages, and the history that identifies it.
"""
