"""
Rules of the contract that both services enforce: URLs, addresses and headers. Pure.
"""
