"""
Why attempts and deliveries fail: what happened, and what to do about it. The one source of the
texts of the log, the documentation, the command line and the console.
"""
