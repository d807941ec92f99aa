package behaviours

import (
	"context"
	"errors"
	"testing"
	"time"
)

const poll = 50 * time.Millisecond

// Eventually looks until a condition gives no error, and fails with the last error when that takes
// too long.
func Eventually(t *testing.T, within time.Duration, condition func(context.Context) error) {
	t.Helper()
	if err := Await(t.Context(), within, condition); err != nil {
		t.Fatalf("after %s: %v", within, err)
	}
}

// Await looks until a condition gives no error. An error names the last one.
func Await(ctx context.Context, within time.Duration, condition func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	last := errors.New("it was never looked at")
	for began := time.Now(); ; {
		now := condition(ctx)
		if now == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = now // else it says only that time is up, and the one before says more
		}
		// Whoever waits for minutes does not look twenty times a second, and leaves the computer to
		// others.
		pause := min(max(poll, time.Since(began)/20), time.Second)
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), last)
		case <-time.After(pause):
		}
	}
}

// Pause is how a workload and a fault take their time; nothing is concluded from it.
func Pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
