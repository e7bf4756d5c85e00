"""
Event types about a whole order, grouped by the shape of their bodies.
"""

# The event types whose version 2 has the 14 keys of the published example.
SHIPPED = (
    "orders/shipped",
    "orders/shipped_with_shipping_method",
    "orders/shipped_by_store",
    "orders/shipped_by_order_type",
    "orders/shipped_by_amazon_fba",
    "orders/shipped_by_amazon_mcf",
    "orders/shipped_by_dropshipper",
    "orders/shipped_by_shipedge",
    "orders/shipped_by_wfs",
)
DATED = ("orders/pending", "orders/processing", "orders/backorder")
CANCELED = ("orders/canceled", "orders/dropship_cancel")
SENT = ("orders/sent_by_amazon_fba", "orders/sent_by_amazon_mcf", "orders/sent_to_shipedge")

# The event types whose order may not be shipped yet.
UNSHIPPED = (
    "orders/any_status_change",
    *DATED,
    *CANCELED,
    "orders/divided",
    "orders/updated_by_oms",
    *SENT,
)
