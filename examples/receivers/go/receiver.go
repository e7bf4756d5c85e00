// Command receiver takes webhooks: it verifies, keeps each delivery once, answers at once, and
// applies in order.
//
//	WEBHOOK_SECRET=whsec_… PORT=8080 INBOX=./inbox go run receiver.go
//
// It needs nothing but Go 1.21.
package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"
)

const (
	tolerance   = 5 * time.Minute
	largestBody = 1024 * 1024
)

var (
	inbox       = setting("INBOX", "inbox")
	deliveries  = filepath.Join(inbox, "deliveries")
	done        = filepath.Join(inbox, "done")
	orders      = filepath.Join(inbox, "orders")
	idPattern   = regexp.MustCompile(`^[\w-]{1,100}$`)
	timePattern = regexp.MustCompile(`^\d{1,12}$`)
	arrived     = make(chan struct{}, 1)
	secret      []byte
)

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

// verified tells whether a request is signed with the secret, and not older than five minutes.
func verified(header http.Header, body []byte) bool {
	id, timestamp := header.Get("webhook-id"), header.Get("webhook-timestamp")
	if !idPattern.MatchString(id) || !timePattern.MatchString(timestamp) {
		return false
	}
	seconds, _ := strconv.ParseInt(timestamp, 10, 64)
	if age := time.Since(time.Unix(seconds, 0)); age > tolerance || age < -tolerance {
		return false
	}
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%s.%s.", id, timestamp)
	mac.Write(body)
	expected := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	// Several, while a secret is being replaced.
	for _, given := range strings.Split(header.Get("webhook-signature"), " ") {
		if hmac.Equal([]byte(given), expected) {
			return true
		}
	}
	return false
}

// keep writes a delivery to the disk under its id and returns whether it is new.
func keep(id string, body []byte) (bool, error) {
	file, err := os.CreateTemp(inbox, "new")
	if err != nil {
		return false, err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(body)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return false, err
	}
	// It is there whole or not at all, and only once.
	err = os.Link(file.Name(), filepath.Join(deliveries, id))
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	return err == nil, err
}

// receive verifies, keeps and answers; the work is done behind the answer.
func receive(response http.ResponseWriter, request *http.Request) {
	response.WriteHeader(status(response, request))
}

func status(response http.ResponseWriter, request *http.Request) int {
	if request.Method != http.MethodPost {
		return http.StatusMethodNotAllowed
	}
	body, err := io.ReadAll(http.MaxBytesReader(response, request.Body, largestBody))
	if err != nil {
		return http.StatusRequestEntityTooLarge
	}
	if !verified(request.Header, body) {
		fmt.Println("refused")
		return http.StatusUnauthorized
	}
	id := request.Header.Get("webhook-id")
	isNew, err := keep(id, body)
	if err != nil {
		log.Print(err)
		return http.StatusInternalServerError
	}
	fmt.Println(map[bool]string{true: "accepted", false: "duplicate"}[isNew], id)
	select {
	case arrived <- struct{}{}:
	default:
	}
	return http.StatusNoContent
}

type change struct {
	id       string
	Event    string
	Sequence int64
	Data     struct{ Order struct{ ID int64 } }
}

// work applies what was kept, for ever.
func work() {
	for {
		changes, err := waiting()
		if err != nil {
			log.Print(err)
		}
		sort.Slice(changes, func(i, j int) bool { return changes[i].Sequence < changes[j].Sequence })
		for _, it := range changes {
			if err := it.apply(); err != nil {
				log.Print(err)
				break
			}
			if err := os.WriteFile(filepath.Join(done, it.id), nil, 0o600); err != nil {
				log.Print(err)
			}
		}
		select {
		case <-arrived:
		case <-time.After(time.Second):
		}
	}
}

func waiting() ([]change, error) {
	entries, err := os.ReadDir(deliveries)
	if err != nil {
		return nil, err
	}
	var changes []change
	for _, entry := range entries {
		if _, err := os.Stat(filepath.Join(done, entry.Name())); err == nil {
			continue
		}
		body, err := os.ReadFile(filepath.Join(deliveries, entry.Name()))
		if err != nil {
			return nil, err
		}
		it := change{id: entry.Name()}
		if err := json.Unmarshal(body, &it); err != nil {
			return nil, err
		}
		changes = append(changes, it)
	}
	return changes, nil
}

// apply applies a change of an order, unless a later one was applied before.
func (it change) apply() error {
	if it.Data.Order.ID == 0 {
		fmt.Println("put aside", it.Event)
		return nil
	}
	name := fmt.Sprintf("%s-%d", strings.ReplaceAll(it.Event, "/", "_"), it.Data.Order.ID)
	state := filepath.Join(orders, name)
	text, _ := os.ReadFile(state)
	last, _ := strconv.ParseInt(string(text), 10, 64)
	if it.Sequence != 0 && it.Sequence <= last {
		fmt.Println("stale", it.Data.Order.ID, it.Sequence)
		return nil
	}
	// Your own work is here. It may be done again after a crash.
	fmt.Println("applied", it.Data.Order.ID, it.Sequence)
	return os.WriteFile(state, []byte(strconv.FormatInt(max(it.Sequence, last), 10)), 0o600)
}

func main() {
	var err error
	secret, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(os.Getenv("WEBHOOK_SECRET"), "whsec_"))
	if err != nil || len(secret) == 0 {
		log.Fatal("WEBHOOK_SECRET is not whsec_ and base64")
	}
	for _, folder := range []string{deliveries, done, orders} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			log.Fatal(err)
		}
	}
	go work()
	server := http.Server{
		Addr:        "127.0.0.1:" + setting("PORT", "8080"),
		Handler:     http.HandlerFunc(receive),
		ReadTimeout: 10 * time.Second,
		IdleTimeout: 2 * time.Minute,
	}
	log.Fatal(server.ListenAndServe())
}
