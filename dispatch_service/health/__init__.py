"""
The health of endpoints, as attempts show it, and what follows from a change of it.
"""
