package supervise

import (
	"context"
	"log/slog"
	"time"
)

const (
	shortest = time.Second      // pause before the first restart
	longest  = 30 * time.Second // pause that is not doubled any more
	steady   = time.Minute      // a program that ran for so long begins with the shortest pause again
)

// Keep runs a program again and again until ctx ends. run runs it once and returns when it has
// ended, with how it ended; it ends the program when ctx ends.
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

// pause returns how long to wait before the next start: last is the pause before the latest one,
// none before the first, and ran for how long the program ran since.
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
