"""
Takes typed events from OMS services and delivers webhooks.
"""
