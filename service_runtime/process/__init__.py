"""
A service as a process: its command line, its lifetime, its workers and background loops.
"""
