import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.Timestamp;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.Status;
import com.shipedge.webhooks.config.v1.ConfigServiceGrpc;
import com.shipedge.webhooks.config.v1.CreateSubscriptionRequest;
import com.shipedge.webhooks.config.v1.Subscription;
import com.shipedge.webhooks.dispatch.v1.DeliveryServiceGrpc;
import com.shipedge.webhooks.dispatch.v1.DeliveryServiceGrpc.DeliveryServiceBlockingStub;
import com.shipedge.webhooks.dispatch.v1.ListAttemptsRequest;
import com.shipedge.webhooks.dispatch.v1.ListAttemptsResponse;
import com.shipedge.webhooks.dispatch.v1.PublishEventsRequest;
import com.shipedge.webhooks.dispatch.v1.PublishResult;
import com.shipedge.webhooks.dispatch.v1.PublisherServiceGrpc;
import com.shipedge.webhooks.dispatch.v1.WatchAttemptsRequest;
import com.shipedge.webhooks.dispatch.v1.WatchAttemptsResponse;
import com.shipedge.webhooks.events.v1.Event;
import com.shipedge.webhooks.events.v1.Order;
import com.shipedge.webhooks.events.v1.OrderStatus;
import com.shipedge.webhooks.events.v1.OrderStatusChanged;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import java.time.Instant;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.TimeUnit;

/**
 * A webhook from its creation to its log. Without settings it calls the services that `make run`
 * starts.
 */
public final class Example {
    private static final String OWNER = "accounts/100";
    private static final List<Long> ORDERS = List.of(71L, 72L, 0L, 73L); // an order has no id 0
    private static final String URL = setting("WEBHOOK_URL", "http://127.0.0.1:9443/webhooks");

    public static void main(String[] arguments) throws Exception {
        ManagedChannel config = channel(setting("CONFIG_ADDRESS", "127.0.0.1:50051"));
        ManagedChannel dispatch = channel(setting("DISPATCH_ADDRESS", "127.0.0.1:50052"));
        try {
            run(
                ConfigServiceGrpc.newBlockingStub(config).withDeadlineAfter(30, TimeUnit.SECONDS),
                PublisherServiceGrpc.newBlockingStub(dispatch).withDeadlineAfter(30, TimeUnit.SECONDS),
                DeliveryServiceGrpc.newBlockingStub(dispatch).withDeadlineAfter(30, TimeUnit.SECONDS));
        } finally {
            config.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
            dispatch.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
        }
    }

    /** Creates a webhook, publishes, reads the error, watches and pages. */
    private static void run(
            ConfigServiceGrpc.ConfigServiceBlockingStub config,
            PublisherServiceGrpc.PublisherServiceBlockingStub publisher,
            DeliveryServiceBlockingStub deliveries)
            throws InvalidProtocolBufferException {
        String webhook = create(config);
        System.out.println("webhook: " + webhook);
        Iterator<WatchAttemptsResponse> watched = deliveries.watchAttempts(
            WatchAttemptsRequest.newBuilder().setParent(OWNER).setFilter(filter(webhook)).build());
        watched.next(); // it comes at once: what ends from then on is seen
        show(watched, publish(publisher));
        pageThrough(deliveries, webhook);
    }

    /** Creates a webhook for shipped orders; returns its name. */
    private static String create(ConfigServiceGrpc.ConfigServiceBlockingStub config) {
        Subscription wanted = Subscription.newBuilder()
            .setEventType("orders/shipped")
            .setPayloadVersion("v2")
            .setUrl(URL)
            .setStatus(Subscription.Status.STATUS_ACTIVE)
            .build();
        // With an id of its own the call may be repeated: the webhook is made once.
        CreateSubscriptionRequest request = CreateSubscriptionRequest.newBuilder()
            .setParent(OWNER)
            .setSubscription(wanted)
            .setRequestId(UUID.randomUUID().toString())
            .build();
        return config.createSubscription(request).getName();
    }

    /** Publishes a batch with a bad event; returns how many were accepted. */
    private static int publish(PublisherServiceGrpc.PublisherServiceBlockingStub publisher)
            throws InvalidProtocolBufferException {
        PublishEventsRequest.Builder batch = PublishEventsRequest.newBuilder();
        ORDERS.forEach(order -> batch.addEvents(shipped(order)));
        int accepted = 0;
        for (PublishResult result : publisher.publishEvents(batch.build()).getResultsList()) {
            if (result.hasAccepted()) {
                accepted++;
                System.out.println("accepted: " + result.getAccepted().getName());
            } else {
                refused(result.getError());
            }
        }
        return accepted;
    }

    /** Prints the reason of an error, and its fields. */
    private static void refused(Status error) throws InvalidProtocolBufferException {
        Optional<Any> info = detail(error, ErrorInfo.class);
        String reason = info.isEmpty() ? "" : info.get().unpack(ErrorInfo.class).getReason();
        Optional<Any> bad = detail(error, BadRequest.class);
        if (bad.isEmpty()) {
            return;
        }
        for (BadRequest.FieldViolation it :
                bad.get().unpack(BadRequest.class).getFieldViolationsList()) {
            System.out.printf("refused: %s %s: %s%n", reason, it.getField(), it.getDescription());
        }
    }

    private static Optional<Any> detail(
            Status error, Class<? extends Message> type) {
        return error.getDetailsList().stream().filter(it -> it.is(type)).findFirst();
    }

    /** Returns the event that an order was shipped. */
    private static Event shipped(long order) {
        OrderStatusChanged changed = OrderStatusChanged.newBuilder()
            .setOrder(Order.newBuilder()
                .setId(order)
                .setNumber("ORD-" + order)
                .setStatus(OrderStatus.ORDER_STATUS_SHIPPED))
            .setToStatus(OrderStatus.ORDER_STATUS_SHIPPED)
            .build();
        return Event.newBuilder()
            .setEventId(UUID.randomUUID().toString())
            .setAccountId(100)
            .setOccurredAt(now())
            .setOrderStatusChanged(changed)
            .build();
    }

    private static Timestamp now() {
        Instant now = Instant.now();
        return Timestamp.newBuilder().setSeconds(now.getEpochSecond()).setNanos(now.getNano()).build();
    }

    /** Prints as many attempts as they end. */
    private static void show(Iterator<WatchAttemptsResponse> watched, int count) {
        for (int left = count; left > 0; ) {
            WatchAttemptsResponse answer = watched.next();
            answer.getAttemptsList().forEach(it ->
                System.out.println("attempt: " + it.getEvent() + " " + it.getStatus()));
            left -= answer.getAttemptsCount();
        }
    }

    /** Reads the log of a webhook, two attempts a page. */
    private static void pageThrough(DeliveryServiceBlockingStub deliveries, String webhook) {
        ListAttemptsRequest.Builder request = ListAttemptsRequest.newBuilder()
            .setParent(OWNER + "/deliveries/-")
            .setFilter(filter(webhook))
            .setPageSize(2);
        int number = 0;
        do {
            ListAttemptsResponse page = deliveries.listAttempts(request.build());
            System.out.println("page " + ++number + ": " + page.getAttemptsCount());
            request.setPageToken(page.getNextPageToken());
        } while (!request.getPageToken().isEmpty());
    }

    private static String filter(String webhook) {
        return "subscription = \"" + webhook + "\"";
    }

    /** Opens a channel; in production with TlsChannelCredentials and the certificate of the caller. */
    private static ManagedChannel channel(String address) {
        return Grpc.newChannelBuilder(address, InsecureChannelCredentials.create()).build();
    }

    private static String setting(String name, String otherwise) {
        return Optional.ofNullable(System.getenv(name)).filter(it -> !it.isEmpty()).orElse(otherwise);
    }
}
