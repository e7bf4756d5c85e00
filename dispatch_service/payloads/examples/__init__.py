"""
Example events, for the catalogue, the documentation and test deliveries.
"""
