"""
One HTTP exchange with a receiver, guarded against requests to internal addresses.
"""
