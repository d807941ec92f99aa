package view

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// script is what an API server without pods answers to watches from the beginning, a few lines at a
// time.
type script chan []string

const (
	// listIsOver is the bookmark that ends a list.
	listIsOver = `{"type":"BOOKMARK","object":{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"%d","annotations":{"k8s.io/initial-events-end":"true"}}}}`
	bookmark   = `{"type":"BOOKMARK","object":{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"%d"}}}`
	watchIsOld = `{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","code":410,"reason":"Expired"}}`
)

func (s script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	flush := http.NewResponseController(w).Flush
	_ = flush()
	for {
		select {
		case lines := <-s:
			for _, line := range lines {
				_, _ = fmt.Fprintln(w, line)
			}
			_ = flush()
			if slices.Contains(lines, watchIsOld) {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

// A list of pods is complete once the API server has answered it, and not when it is started: the
// view does not see what pods do in between.
func TestAListIsOverOnceItIsAnswered(t *testing.T) {
	t.Parallel()
	answers := make(script)
	server := httptest.NewServer(answers)
	t.Cleanup(server.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	claims, err := NewClaims(client)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = claims.Start(t.Context()) }()
	await := func(lists uint64, answered bool) {
		t.Helper()
		for n, ok := claims.Listed(); n != lists || ok != answered; n, ok = claims.Listed() {
			if n > lists || n == lists && ok {
				t.Fatalf("there were %d lists, the last answered: %t, want %d, %t", n, ok, lists, answered)
			}
			select {
			case <-time.After(time.Millisecond):
			case <-t.Context().Done():
				t.Fatal(t.Context().Err())
			}
		}
	}
	await(1, false)
	answers <- []string{fmt.Sprintf(listIsOver, 5)}
	await(1, true)
	answers <- []string{watchIsOld}
	await(2, false)
	answers <- []string{fmt.Sprintf(listIsOver, 5), fmt.Sprintf(bookmark, 6)} // the list has nothing that the watch had not
	await(2, true)
}
