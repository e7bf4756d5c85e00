"""
What versions 1 and 2 show of an order with several shipments, for the documentation.
"""

from typing import Final

FIRST_TRACKING_NUMBER: Final = (
    "The tracking number of the first shipment or package that has one; further ones are in"
    " version 3 only."
)
FIRST_CARRIER: Final = (
    "The carrier of the first shipment that has one; further ones are in version 3 only."
)
FIRST_METHOD: Final = (
    "The method of the first shipment that has one, else the one that was asked for; further ones"
    " are in version 3 only."
)
