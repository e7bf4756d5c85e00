"""
What receivers answer: read by a fast parser if it is sound, otherwise by a lenient one. What token
servers answer: read as widely as OAuth libraries do.
"""
