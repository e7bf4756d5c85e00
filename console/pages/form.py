"""
The form that adds or edits a webhook.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from console.pages import saved
from console.pages.catalogue import version_of
from console.pages.failures import may_have_happened, status_of
from console.pages.paths import owner_of, services_of, webhook_of
from console.rpc.names import event_type_name
from console.rpc.services import answer
from console.web import subscription_fields as fields
from console.web.forms import Form, new_request_id, read_form, request_id_of, text
from console.web.rendering import indented, page
from console.words.groups import titled
from shipedge.webhooks.client.errors import ApiError
from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription
from shipedge.webhooks.events.v1 import catalogue_pb2

_FILTERS = {
    catalogue_pb2.FILTER_KIND_STATUSES: ("statuses",),
    catalogue_pb2.FILTER_KIND_SHIPPING_METHODS: ("shipping_methods",),
    catalogue_pb2.FILTER_KIND_STORES: ("store_ids", "channels"),
    catalogue_pb2.FILTER_KIND_ORDER_TYPES: ("order_types",),
    catalogue_pb2.FILTER_KIND_SKUS: ("skus",),
}


async def show_new(request: Request) -> Response:
    """
    Let the reader choose an event and a version; show the form when both are chosen.
    """
    catalogue = await services_of(request).event_types()
    chosen = request.query_params.get("event_type", "")
    if chosen not in {each.type for each in catalogue}:
        return page(request, "event_choice.html", groups=titled(catalogue))
    version = request.query_params.get("version", "")
    known = next(each for each in catalogue if each.type == chosen)
    webhook = Subscription(event_type=chosen, payload_version=version or known.recommended_version)
    return await _show(request, fields.form_of(webhook))


async def show_existing(request: Request) -> Response:
    """
    Show the form of a webhook.
    """
    webhook = await services_of(request).webhook(webhook_of(request))
    return await _show(request, fields.form_of(webhook), webhook=webhook)


async def create(request: Request) -> Response:
    """
    Add a webhook; a form that is sent twice adds one. The next page shows its signing secret once.
    """
    form = await read_form(request)
    services, request_id = services_of(request), request_id_of(form)
    try:
        asked = pb.CreateSubscriptionRequest(
            parent=owner_of(request),
            subscription=fields.subscription_of(form),
            request_id=request_id,
        )
        created = await answer(services.config.CreateSubscription(asked))
    except (ApiError, fields.FieldInvalidError) as refused:
        unsure = isinstance(refused, ApiError) and may_have_happened(refused)
        kept = request_id if unsure else new_request_id()
        return await _show(request, _typed(form), refused=refused, request_id=kept)
    return saved.lead_to(request, created)


async def update(request: Request) -> Response:
    """
    Save what the form changes.
    """
    form = await read_form(request)
    services, name = services_of(request), webhook_of(request)
    current = await services.webhook(name)
    try:
        webhook = fields.subscription_of(form)
        webhook.name, webhook.etag = name, text(form, "etag")
        change = pb.UpdateSubscriptionRequest(subscription=webhook)
        change.update_mask.paths.extend(fields.changed_fields(fields.form_of(current), form))
        if change.update_mask.paths:
            current = await answer(services.config.UpdateSubscription(change))
    except (ApiError, fields.FieldInvalidError) as refused:
        return await _show(request, _typed(form), webhook=current, refused=refused)
    if current.warnings or current.signing_secret:
        return saved.lead_to(request, current)
    return RedirectResponse(f"/{owner_of(request)}/webhooks", 303)


async def _show(
    request: Request,
    values: Mapping[str, str],
    *,
    webhook: Subscription | None = None,
    refused: ApiError | fields.FieldInvalidError | None = None,
    request_id: str = "",
) -> Response:
    services, owner = services_of(request), owner_of(request)
    name = event_type_name(values["event_type"])
    event = await answer(services.config.GetEventType(pb.GetEventTypeRequest(name=name)))
    credentials = await answer(
        services.config.ListCredentials(pb.ListCredentialsRequest(parent=owner))
    )
    certificates = await answer(
        services.config.ListClientCertificates(pb.ListClientCertificatesRequest(parent=owner))
    )
    version = version_of(event, values["payload_version"])
    return page(
        request,
        "form.html",
        status=200 if refused is None else _status(refused),
        values=values,
        request_id=request_id or new_request_id(),
        webhook=webhook,
        event=event,
        filters={name: fields.FILTERS[name] for name in _FILTERS.get(event.filter.kind, ())},
        credentials=[each.name for each in credentials.credentials],
        certificates=[each.name for each in certificates.client_certificates],
        problems=_problems(refused),
        message=str(refused.message) if isinstance(refused, ApiError) else "",
        example=indented(version.example),
        schema=indented(version.json_schema),
    )


def _status(refused: ApiError | fields.FieldInvalidError) -> int:
    return status_of(refused) if isinstance(refused, ApiError) else 400


def _problems(refused: ApiError | fields.FieldInvalidError | None) -> dict[str, str]:
    """
    Return what is wrong, by the fields of the form: `subscription.filter.skus[0]` is `skus`.
    """
    if not isinstance(refused, ApiError):
        return dict(refused.problems) if refused else {}
    found = {}
    for violation in refused.violations:
        path = violation.field.removeprefix("subscription.").removeprefix("filter.")
        found[path.partition("[")[0].partition(".")[0]] = violation.description
    return found


def _typed(form: Form) -> dict[str, str]:
    """
    Return the fields as they were typed, without the values of headers.
    """
    names = fields.form_of(Subscription())
    typed = {name: text(form, name) for name in names}
    headers = typed["custom_headers"].splitlines()
    typed["custom_headers"] = "\n".join(line.partition(":")[0] + ":" for line in headers)
    return typed
