"""
Settings from the environment.
"""
