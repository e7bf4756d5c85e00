"""
The delivery engine, put together.
"""
