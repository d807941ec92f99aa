package supervise

import (
	"context"
	"log/slog"
	"time"
)

const (
	shortest = time.Second      // the first pause
	longest  = 30 * time.Second // the longest pause
	steady   = time.Minute      // a program that ran this long gets the shortest pause again
)

// Keep runs a program again and again until ctx ends. run runs it once and returns when it has
// ended, with the reason; it ends the program when ctx ends.
func Keep(ctx context.Context, log *slog.Logger, run func(context.Context) error) {
	last := time.Duration(0)
	for {
		began := time.Now()
		err := run(ctx)
		if ctx.Err() != nil {
			return
		}
		ran := time.Since(began)
		last = pause(last, ran)
		log.Warn("the program has ended; it is started again", "error", ended(err), "ran", ran.String(), "after", last.String())
		select {
		case <-time.After(last):
		case <-ctx.Done():
			return
		}
	}
}

// pause returns how long to wait before the next start: last is the previous pause, zero before the
// first, and ran is how long the program ran since.
func pause(last, ran time.Duration) time.Duration {
	if last == 0 || ran >= steady {
		return shortest
	}
	return min(2*last, longest)
}

func ended(err error) string {
	if err == nil {
		return "none, it has exited with 0"
	}
	return err.Error()
}
