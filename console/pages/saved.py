"""
The page after a webhook was saved or its secret replaced: the secret, once, and warnings.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from console.pages.paths import owner_of, services_of, webhook_of
from console.web.once import Saved, forget, go_to, taken
from console.web.rendering import page
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription


def lead_to(request: Request, webhook: Subscription) -> Response:
    """
    Lead to the page that shows the secret and the warnings of *webhook* once.
    """
    identifier = webhook.name.rpartition("/")[2]
    path = f"/{owner_of(request)}/webhooks/{identifier}/saved"
    return go_to(request, path, Saved(webhook.signing_secret, list(webhook.warnings)))


async def show(request: Request) -> Response:
    """
    Show the new signing secret; at the second time, that it was shown.
    """
    webhook = await services_of(request).webhook(webhook_of(request))
    shown = page(request, "saved.html", webhook=webhook, saved=taken(request) or Saved())
    forget(request, shown)
    return shown
