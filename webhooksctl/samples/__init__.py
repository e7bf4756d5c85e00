"""
Sample events, one for each event type, as the dispatch service has them for tests.
"""
