"""
Clients of httpx on the guarded transport.
"""

import httpx
import pytest

from dispatch_service.egress.httpx_adapter import HttpxAdapter
from tests.support.receivers import answering, https_receiver
from tests.support.transports import LOOPS, guarded_transport, outbound

pytestmark = pytest.mark.anyio


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """
    Run every test on both event loops.
    """
    return request.param


async def test_client_of_httpx() -> None:
    """
    A client of httpx sends, receives and fails in the types of httpx.
    """
    script = answering(200, b'{"access_token": "t"}', ("Content-Type: application/json",))
    async with (
        https_receiver(script) as receiver,
        guarded_transport(receiver) as transport,
        httpx.AsyncClient(transport=HttpxAdapter(transport)) as client,
    ):
        response = await client.post(receiver.url, data={"grant_type": "client_credentials"})
        with pytest.raises(httpx.UnsupportedProtocol):
            await client.post("https://u:p@hooks.acme.example/")

    assert response.json() == {"access_token": "t"}
    assert receiver.requests[0].body == b"grant_type=client_credentials"
    assert receiver.requests[0].headers["accept-encoding"] == "identity"


async def test_closing_a_client_leaves_the_transport_open() -> None:
    """
    Deliveries go on after a client that shares their transport was closed.
    """
    async with https_receiver(answering()) as receiver, guarded_transport(receiver) as transport:
        async with httpx.AsyncClient(transport=HttpxAdapter(transport)) as client:
            await client.post(receiver.url)
        response = await transport.exchange(outbound(receiver))

    assert response.status_code == 200
