"""
Event types about returns, grouped by the shape of their bodies.
"""

SIMPLE = ("returns/simple_initiated", "returns/simple_received", "returns/unexpected_received")
EXCHANGES = (
    "returns/exchange_now_initiated",
    "returns/exchange_now_received",
    "returns/exchange_on_received_initiated",
    "returns/exchange_on_received_received",
)
