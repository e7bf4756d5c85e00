"""
Answers of receivers, sound, sloppy and broken, and what HTTP clients make of them.
"""
