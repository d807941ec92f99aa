package behaviours

import (
	"context"
	"errors"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

const poll = 50 * time.Millisecond

// Eventually looks until a condition gives no error, and fails with the last
// error when that takes too long.
func Eventually(t *testing.T, within time.Duration, condition func(context.Context) error) {
	t.Helper()
	if err := Await(t.Context(), within, condition); err != nil {
		t.Fatalf("after %s: %v", within, err)
	}
}

// Await looks until a condition gives no error. An error names the last one.
func Await(ctx context.Context, within time.Duration, condition func(context.Context) error) error {
	last := errors.New("it was never looked at")
	err := wait.PollUntilContextTimeout(ctx, poll, within, true, func(ctx context.Context) (bool, error) {
		now := condition(ctx)
		if now == nil || ctx.Err() == nil {
			last = now // else it says only that time is up, and the one before says more
		}
		return now == nil, nil
	})
	if err != nil {
		return errors.Join(err, last)
	}
	return nil
}
