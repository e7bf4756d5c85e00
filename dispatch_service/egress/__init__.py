"""
One guarded HTTP exchange with a customer's server.
"""
