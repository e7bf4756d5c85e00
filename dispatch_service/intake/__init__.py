"""
From a published event to its committed rows: accept, prepare, render, commit.
"""
