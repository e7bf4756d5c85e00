"""
Example events: for the catalogue, the docs and test deliveries.
"""
