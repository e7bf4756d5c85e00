"""
From a leased delivery to its written result: queues, attempts, results.
"""
