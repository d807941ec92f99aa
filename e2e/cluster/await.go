package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// patience limits every wait for something that normally takes seconds: only a machine under
// extreme load comes near it.
const patience = 2 * time.Minute

// poll is how often a condition is checked that cannot be watched.
const poll = 50 * time.Millisecond

// hopeless is an error after which waiting longer is pointless.
type hopeless struct{ error }

func (h hopeless) Unwrap() error { return h.error }

// await waits until a condition returns no error. Its error has what was waited for and the last
// error.
func await(ctx context.Context, what string, condition func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		err := condition(ctx)
		if err == nil {
			return nil
		}
		var end hopeless
		if errors.As(err, &end) {
			return fmt.Errorf("waiting for %s: %w", what, end.error)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w: %w", what, context.Cause(ctx), err)
		}
	}
}

// getOK fetches a URL and returns an error unless the status is OK.
func getOK(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s: %s", url, response.Status, body)
	}
	return nil
}
