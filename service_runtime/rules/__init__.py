"""
The rules that both services enforce on URLs, addresses and headers. Pure.
"""
