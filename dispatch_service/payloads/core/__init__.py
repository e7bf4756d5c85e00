"""
What all payloads share: field types, the version 3 envelope, money, dates, states.
"""
