"""
Servers that customers run, as receivers on loopback, with configurations made for each run.
"""
