// Command example takes a webhook from its creation to its log.
//
// Without settings it calls the services that `make run` starts.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/google/uuid"
	configv1 "github.com/shipedge/webhooks-go/shipedge/webhooks/config/v1"
	dispatchv1 "github.com/shipedge/webhooks-go/shipedge/webhooks/dispatch/v1"
	eventsv1 "github.com/shipedge/webhooks-go/shipedge/webhooks/events/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const owner = "accounts/100"

// An order has no id 0.
var orders = []int64{71, 72, 0, 73}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

// run creates a webhook, publishes, reads the error, watches and pages.
func run(ctx context.Context) error {
	// In production: credentials.NewTLS with the certificate of the caller.
	plain := grpc.WithTransportCredentials(insecure.NewCredentials())
	config, err := grpc.NewClient(setting("CONFIG_ADDRESS", "127.0.0.1:50051"), plain)
	if err != nil {
		return err
	}
	defer config.Close()
	dispatch, err := grpc.NewClient(setting("DISPATCH_ADDRESS", "127.0.0.1:50052"), plain)
	if err != nil {
		return err
	}
	defer dispatch.Close()
	deliveries := dispatchv1.NewDeliveryServiceClient(dispatch)

	webhook, err := create(ctx, configv1.NewConfigServiceClient(config))
	if err != nil {
		return err
	}
	fmt.Println("webhook:", webhook)

	watched, err := watch(ctx, deliveries, webhook)
	if err != nil {
		return err
	}
	accepted, err := publish(ctx, dispatchv1.NewPublisherServiceClient(dispatch))
	if err != nil {
		return err
	}
	if err := show(watched, accepted); err != nil {
		return err
	}
	return pageThrough(ctx, deliveries, webhook)
}

// create makes a webhook for shipped orders and returns its name.
func create(ctx context.Context, config configv1.ConfigServiceClient) (string, error) {
	made, err := config.CreateSubscription(ctx, &configv1.CreateSubscriptionRequest{
		Parent: owner,
		Subscription: &configv1.Subscription{
			EventType:      "orders/shipped",
			PayloadVersion: "v2",
			Url:            setting("WEBHOOK_URL", "http://127.0.0.1:9443/webhooks"),
			Status:         configv1.Subscription_STATUS_ACTIVE,
		},
		// With an id of its own the call may be repeated: the webhook is made once.
		RequestId: uuid.NewString(),
	})
	return made.GetName(), err
}

// watch returns the stream of what ends from now on: its first answer comes at once.
func watch(
	ctx context.Context, deliveries dispatchv1.DeliveryServiceClient, webhook string,
) (grpc.ServerStreamingClient[dispatchv1.WatchAttemptsResponse], error) {
	watched, err := deliveries.WatchAttempts(ctx, &dispatchv1.WatchAttemptsRequest{
		Parent: owner,
		Filter: fmt.Sprintf("subscription = %q", webhook),
	})
	if err != nil {
		return nil, err
	}
	_, err = watched.Recv()
	return watched, err
}

// publish sends a batch with a bad event and returns how many were accepted.
func publish(ctx context.Context, publisher dispatchv1.PublisherServiceClient) (int, error) {
	request := &dispatchv1.PublishEventsRequest{}
	for _, order := range orders {
		request.Events = append(request.Events, shipped(order))
	}
	answer, err := publisher.PublishEvents(ctx, request)
	if err != nil {
		return 0, err
	}
	accepted := 0
	for _, result := range answer.GetResults() {
		if event := result.GetAccepted(); event != nil {
			accepted++
			fmt.Println("accepted:", event.GetName())
			continue
		}
		refused(status.FromProto(result.GetError()))
	}
	return accepted, nil
}

// refused prints the reason of an error, and its fields.
func refused(failed *status.Status) {
	reason := ""
	for _, detail := range failed.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			reason = info.GetReason()
		}
	}
	for _, detail := range failed.Details() {
		if bad, ok := detail.(*errdetails.BadRequest); ok {
			for _, field := range bad.GetFieldViolations() {
				fmt.Printf("refused: %s %s: %s\n", reason, field.GetField(), field.GetDescription())
			}
		}
	}
}

// shipped returns the event that an order was shipped.
func shipped(order int64) *eventsv1.Event {
	return &eventsv1.Event{
		EventId:    uuid.NewString(),
		AccountId:  100,
		OccurredAt: timestamppb.Now(),
		Payload: &eventsv1.Event_OrderStatusChanged{
			OrderStatusChanged: &eventsv1.OrderStatusChanged{
				Order: &eventsv1.Order{
					Id:     order,
					Number: fmt.Sprintf("ORD-%d", order),
					Status: eventsv1.OrderStatus_ORDER_STATUS_SHIPPED,
				},
				ToStatus: eventsv1.OrderStatus_ORDER_STATUS_SHIPPED,
			},
		},
	}
}

// show prints as many attempts as they end.
func show(watched grpc.ServerStreamingClient[dispatchv1.WatchAttemptsResponse], count int) error {
	for count > 0 {
		answer, err := watched.Recv()
		if err != nil {
			return err
		}
		for _, attempt := range answer.GetAttempts() {
			fmt.Println("attempt:", attempt.GetEvent(), attempt.GetStatus())
			count--
		}
	}
	return nil
}

// pageThrough reads the log of a webhook, two attempts a page.
func pageThrough(
	ctx context.Context, deliveries dispatchv1.DeliveryServiceClient, webhook string,
) error {
	request := &dispatchv1.ListAttemptsRequest{
		Parent:   owner + "/deliveries/-",
		Filter:   fmt.Sprintf("subscription = %q", webhook),
		PageSize: 2,
	}
	for number := 1; number == 1 || request.PageToken != ""; number++ {
		page, err := deliveries.ListAttempts(ctx, request)
		if err != nil {
			return err
		}
		fmt.Printf("page %d: %d\n", number, len(page.GetAttempts()))
		request.PageToken = page.GetNextPageToken()
	}
	return nil
}
