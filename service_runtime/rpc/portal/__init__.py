"""
Guests: who acts for a caller by a link that the caller made.
"""
