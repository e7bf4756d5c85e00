"""
The bodies of the examples, byte for byte.
"""

import pytest

from dispatch_service.payloads import CONTRACTS, example_body
from tests.support.goldens import compact, golden_path

# The two examples in the published documentation.
_PUBLISHED = {
    "orders/shipped": b"""
{
  "event": "orders/shipped_v2",
  "account_id": 100,
  "order_id": 12345,
  "order_number": "ORD-001",
  "order_reference": "REF-123",
  "status": "shipped",
  "shipped_date": "2024-01-15 10:30:00",
  "tracking_number": "1Z999AA10123456784",
  "carrier": "UPS",
  "shipping_method": "Ground",
  "customer": {
    "email": "customer@example.com",
    "name": "John Doe",
    "address": {
      "address1": "123 Main St",
      "city": "Los Angeles",
      "state": "CA",
      "zip": "90001",
      "country": "USA"
    }
  },
  "items": [
    {
      "sku": "PROD-001",
      "quantity": 2,
      "description": "Product Description"
    }
  ],
  "total": 59.98,
  "shipping_cost": 5.99
}
""",
    "inventory/corrections": b"""
{
  "event": "inventory/corrections_v2",
  "account_id": 100,
  "correction_id": 789,
  "sku": "PROD-001",
  "location": "A-01",
  "bin": "BIN-001",
  "previous_quantity": 50,
  "new_quantity": 45,
  "adjustment": -5,
  "reason": "Cycle count adjustment",
  "user": "warehouse_user",
  "timestamp": "2024-01-15 14:20:00"
}
""",
}


@pytest.mark.parametrize(("event_type", "payload_version"), CONTRACTS)
def test_body_is_that_of_its_golden_file(event_type: str, payload_version: str) -> None:
    """
    A published payload never changes, except for white space.
    """
    golden = golden_path(event_type, payload_version).read_bytes()

    assert example_body(event_type, payload_version) == compact(golden)


@pytest.mark.parametrize("event_type", _PUBLISHED)
def test_published_examples_are_unchanged(event_type: str) -> None:
    """
    The two examples in the published documentation are rendered unchanged.
    """
    assert example_body(event_type, "v2") == compact(_PUBLISHED[event_type])
