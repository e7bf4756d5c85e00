"""
What customers and developers read of the payload contracts, generated from the
typed definitions: files, pages and a bundle for machines.
"""
