"""
What is stored of an event, worked out without a database.
"""

from __future__ import annotations

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.domain.transitions import Trigger
from dispatch_service.intake.prepare import Prepared, Preparer, SampleRequest, serialised
from dispatch_service.payloads import example_event, render
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.storage import associated_data
from dispatch_service.storage.sealing import Sealer
from service_runtime.keys.keyring import AssociatedData, DataKey, KeyRing
from service_runtime.process import failpoints
from tests.support.dispatch_factories import subscription

EVENT = example_event("orders/shipped")
KEY = DataKey.generate()
SEALER = Sealer(20_000, KEY, KeyRing({"a": b"k" * 32}, b"h" * 32).keyed_hash)


def preparer(*subscriptions: Subscription, complete: bool = True) -> Preparer:
    """
    Make a preparer whose deliveries are numbered from 0.
    """
    index = SubscriptionIndex(received=True, complete=complete)
    for each in subscriptions:
        index.put(each)
    ids = map(str, range(100))
    return Preparer(index, ids.__next__)


def prepared(*subscriptions: Subscription) -> Prepared:
    """
    Prepare the example event for subscriptions.
    """
    (made,) = preparer(*subscriptions).prepare([EVENT], SEALER)
    return made


def opened(sealed: bytes, associated: AssociatedData) -> bytes:
    """
    Open what was sealed, behind the four bytes of its day.
    """
    return KEY.open(sealed[4:], associated)


def test_each_subscription_gets_a_delivery_and_all_share_a_body() -> None:
    """
    Payloads stand in the order of the deliveries, and ids come from their maker.
    """
    made = prepared(*(subscription(subscription_id=name) for name in ("a", "b", "c")))

    body = render(EVENT, "orders/shipped", "v2")
    assert made.payloads == [body, body, body]
    assert [it.subscription for it in made.event.deliveries] == ["a", "b", "c"]
    assert [it.delivery_id for it in made.event.deliveries] == ["0", "1", "2"]
    assert len(made.event.bodies) == 1


def test_nothing_is_leased_by_preparation() -> None:
    """
    A delivery is leased only once a slot is reserved for it.
    """
    made = prepared(subscription())

    assert [it.leased for it in made.event.deliveries] == [False]


def test_content_and_body_are_sealed_for_their_rows() -> None:
    """
    Both can be opened at their place only, and their hashes are those of the plain bytes.
    """
    made = prepared(subscription())

    event, (body,) = made.event, made.event.bodies
    assert opened(event.sealed_payload, associated_data.event(*event.key)) == serialised(EVENT)
    associated = associated_data.body(body.owner, *event.key, ("orders/shipped", "v2"))
    assert opened(body.sealed_body, associated) == made.payloads[0]
    assert body.body_bytes == len(made.payloads[0] or b"")


def test_inactive_subscription_is_skipped() -> None:
    """
    It gets no delivery, and is named so that the event can be counted for it.
    """
    inactive = subscription(active=False)

    made = prepared(inactive)

    assert made.event.deliveries == []
    assert made.skipped == (inactive,)


def test_body_that_cannot_be_rendered_fails_its_deliveries() -> None:
    """
    The event is prepared, the delivery is stored as failed, and there is nothing to send.
    """
    failpoints.arm("render.fail:raise")

    made = prepared(subscription())

    assert made.payloads == [None]
    assert [it.failure_kind for it in made.event.deliveries] == [FailureKind.RENDER]
    assert made.event.bodies == []


def test_event_before_a_complete_snapshot_is_not_matched() -> None:
    """
    It is stored with what identifies it, and gets its deliveries later.
    """
    unmatched = preparer(subscription(), complete=False)

    (made,) = unmatched.prepare_published([EVENT], SEALER, [serialised(EVENT)])

    assert not made.event.matched
    assert made.event.deliveries == ()
    assert made.event.resource == "orders/12345"


def test_sample_goes_to_the_one_subscription_alone() -> None:
    """
    Its delivery says who asked for it, is not ordered, and is about the test itself.
    """
    wanted = subscription(subscription_id="wanted", ordered=True)
    request = SampleRequest(wanted, "ann")

    made = preparer(subscription(), wanted).prepare_sample(
        EVENT, SEALER, serialised(EVENT), request
    )

    (delivery,) = made.event.deliveries
    assert made.event.resource == f"tests/{EVENT.event_id}"
    assert (delivery.subscription, delivery.requested_by) == ("wanted", "ann")
    assert delivery.trigger is Trigger.TEST
    assert not delivery.ordered


def test_payloads_do_not_show_in_logs() -> None:
    """
    What is prepared holds personal data in plain text.
    """
    assert "customer@example.com" not in repr(prepared(subscription()))
