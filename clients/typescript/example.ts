/**
 * A webhook from its creation to its log. Without settings it calls the services that `make run`
 * starts. The folder `generated` is made as proto/README.md says.
 */
import { randomUUID } from 'node:crypto';
import { promisify } from 'node:util';
import { type ClientReadableStream, credentials } from '@grpc/grpc-js';
import { BadRequest, ErrorInfo } from './generated/google/rpc/error_details';
import type { Status } from './generated/google/rpc/status';
import {
  ConfigServiceClient,
  CreateSubscriptionRequest,
} from './generated/shipedge/webhooks/config/v1/config_service';
import { Subscription, Subscription_Status } from './generated/shipedge/webhooks/config/v1/subscription';
import { attempt_StatusToJSON } from './generated/shipedge/webhooks/dispatch/v1/attempt';
import {
  DeliveryServiceClient,
  ListAttemptsRequest,
  type ListAttemptsResponse,
  WatchAttemptsRequest,
  type WatchAttemptsResponse,
} from './generated/shipedge/webhooks/dispatch/v1/delivery_service';
import {
  PublisherServiceClient,
  type PublishEventsRequest,
  type PublishEventsResponse,
} from './generated/shipedge/webhooks/dispatch/v1/publisher_service';
import { Event } from './generated/shipedge/webhooks/events/v1/event';
import { OrderStatus } from './generated/shipedge/webhooks/events/v1/states';

const OWNER = 'accounts/100';
const ORDERS = [71, 72, 0, 73]; // an order has no id 0
const URL = process.env.WEBHOOK_URL ?? 'http://127.0.0.1:9443/webhooks';
const TYPES = 'type.googleapis.com/google.rpc.';

// In production: credentials.createSsl with the certificate of the caller.
const plain = credentials.createInsecure();
const config = new ConfigServiceClient(process.env.CONFIG_ADDRESS ?? '127.0.0.1:50051', plain);
const dispatch = process.env.DISPATCH_ADDRESS ?? '127.0.0.1:50052';
const publisher = new PublisherServiceClient(dispatch, plain);
const deliveries = new DeliveryServiceClient(dispatch, plain);

/** Creates a webhook for shipped orders; returns its name. */
async function create(): Promise<string> {
  const call = promisify<CreateSubscriptionRequest, Subscription>(
    config.createSubscription.bind(config),
  );
  const wanted = {
    eventType: 'orders/shipped',
    payloadVersion: 'v2',
    url: URL,
    status: Subscription_Status.STATUS_ACTIVE,
  };
  // With an id of its own the call may be repeated: the webhook is made once.
  const request = { parent: OWNER, subscription: wanted, requestId: randomUUID() };
  return (await call(CreateSubscriptionRequest.fromPartial(request))).name;
}

/** Returns the event that an order was shipped. */
function shipped(order: number): Event {
  const status = OrderStatus.ORDER_STATUS_SHIPPED;
  return Event.fromPartial({
    eventId: randomUUID(),
    accountId: 100,
    occurredAt: new Date(),
    orderStatusChanged: { order: { id: order, number: `ORD-${order}`, status }, toStatus: status },
  });
}

/** Publishes a batch with a bad event; returns how many were accepted. */
async function publish(): Promise<number> {
  const call = promisify<PublishEventsRequest, PublishEventsResponse>(
    publisher.publishEvents.bind(publisher),
  );
  const { results } = await call({ events: ORDERS.map(shipped) });
  for (const { accepted, error } of results) {
    if (accepted) console.log(`accepted: ${accepted.name}`);
    if (error) refused(error);
  }
  return results.filter((result) => result.accepted).length;
}

/** Prints the reason of an error, and its fields. */
function refused(error: Status): void {
  const detail = (type: string) =>
    error.details.find((it) => it.typeUrl === TYPES + type)?.value ?? new Uint8Array();
  const { reason } = ErrorInfo.decode(detail('ErrorInfo'));
  for (const { field, description } of BadRequest.decode(detail('BadRequest')).fieldViolations) {
    console.log(`refused: ${reason} ${field}: ${description}`);
  }
}

/** Resolves once a stream has answered: it does so at once, and shows what ends from then on. */
function begun(stream: ClientReadableStream<WatchAttemptsResponse>): Promise<void> {
  return new Promise((resolve, reject) => stream.once('data', () => resolve()).once('error', reject));
}

/** Prints as many attempts as they end. */
function show(stream: ClientReadableStream<WatchAttemptsResponse>, count: number): Promise<void> {
  return new Promise((resolve) =>
    stream.on('data', ({ attempts }: WatchAttemptsResponse) => {
      for (const { event, status } of attempts) {
        console.log(`attempt: ${event} ${attempt_StatusToJSON(status)}`);
      }
      count -= attempts.length;
      if (count <= 0) resolve();
    }),
  );
}

/** Reads the log of a webhook, two attempts a page. */
async function pageThrough(webhook: string): Promise<void> {
  const call = promisify<ListAttemptsRequest, ListAttemptsResponse>(
    deliveries.listAttempts.bind(deliveries),
  );
  const parent = `${OWNER}/deliveries/-`;
  const filter = `subscription = "${webhook}"`;
  let [number, pageToken] = [0, ''];
  do {
    const request = ListAttemptsRequest.fromPartial({ parent, filter, pageSize: 2, pageToken });
    const page = await call(request);
    console.log(`page ${++number}: ${page.attempts.length}`);
    pageToken = page.nextPageToken;
  } while (pageToken);
}

async function main(): Promise<void> {
  const webhook = await create();
  console.log(`webhook: ${webhook}`);
  const watched = deliveries.watchAttempts(
    WatchAttemptsRequest.fromPartial({ parent: OWNER, filter: `subscription = "${webhook}"` }),
  );
  await begun(watched);
  // It is watched first, and cancelled at the end: that is no error.
  watched.on('error', () => undefined);
  await show(watched, await publish());
  watched.cancel();
  await pageThrough(webhook);
  for (const client of [config, publisher, deliveries]) client.close();
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
