"""
`ConfigService`, whose methods stand side by side in a class for each kind of resource.
"""

from __future__ import annotations

from config_service.api.access.portal_links import PortalLinkMethods
from config_service.api.catalogue import CatalogueMethods
from config_service.api.credentials import CredentialMethods
from config_service.api.endpoint_events import EndpointEventMethods
from config_service.api.feed import ChangeNotifier
from config_service.api.settings import SettingsMethods
from config_service.api.signing_keys import SigningKeyMethods
from config_service.api.subscription_batches import SubscriptionBatchMethods
from config_service.api.subscriptions import SubscriptionMethods
from config_service.store.store import Store
from service_runtime.rpc.caller_directory import CallerDirectory
from service_runtime.rpc.paging import PageTokens
from shipedge.webhooks.config.v1.config_service_pb2_grpc import ConfigServiceServicer


class ConfigServicer(
    SubscriptionMethods,
    SubscriptionBatchMethods,
    CredentialMethods,
    SigningKeyMethods,
    SettingsMethods,
    PortalLinkMethods,
    CatalogueMethods,
    EndpointEventMethods,
    ConfigServiceServicer,
):
    """
    Serves `ConfigService`.

    *callers* may make portal links; None in development. *notifier* wakes streams at changes of
    this process. Changes of other processes are looked for every *poll_seconds*; a heartbeat is
    sent every *heartbeat_seconds*.
    """

    def __init__(
        self,
        store: Store,
        tokens: PageTokens,
        egress_ranges: tuple[str, ...],
        *,
        callers: CallerDirectory | None,
        notifier: ChangeNotifier,
        poll_seconds: float,
        heartbeat_seconds: float,
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._egress_ranges = egress_ranges
        self._callers = callers
        self._notifier = notifier
        self._poll_seconds = poll_seconds
        self._heartbeat_seconds = heartbeat_seconds
