package supervise

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPauseDoublesUntilTheProgramRanForAWhile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		runs []time.Duration // how long each run lasts; the last one lasts until Keep is ended
		want []time.Duration // the pauses in between
	}{
		"it never ends": {runs: []time.Duration{time.Hour}},
		"it ends at once, again and again": {
			runs: make([]time.Duration, 9),
			want: []time.Duration{1e9, 2e9, 4e9, 8e9, 16e9, 30e9, 30e9, 30e9},
		},
		"it ran for a while in between": {
			runs: []time.Duration{0, 0, 0, time.Minute, 0, 0},
			want: []time.Duration{1e9, 2e9, 4e9, 1e9, 2e9},
		},
		"it ran for less than that": {
			runs: []time.Duration{0, 59 * time.Second, 0},
			want: []time.Duration{1e9, 2e9},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var pauses []time.Duration
				n, ended := 0, time.Now()
				Keep(ctx, slog.New(slog.DiscardHandler), func(context.Context) error {
					if n > 0 {
						pauses = append(pauses, time.Since(ended))
					}
					time.Sleep(c.runs[n]) // of the bubble's clock
					if n++; n == len(c.runs) {
						cancel()
					}
					ended = time.Now()
					return errors.New("out of luck")
				})
				if diff := cmp.Diff(c.want, pauses); diff != "" {
					t.Errorf("pauses (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestKeepEndsWithItsContextWithoutAnotherStart(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]time.Duration{
		"while the program runs":     5 * time.Second,
		"while it waits for a start": 10*time.Second + 500*time.Millisecond,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), late)
				defer cancel()
				began, starts := time.Now(), 0
				Keep(ctx, slog.New(slog.DiscardHandler), func(ctx context.Context) error {
					starts++
					select {
					case <-time.After(10 * time.Second):
					case <-ctx.Done():
					}
					return nil
				})
				if took := time.Since(began); starts != 1 || took != late {
					t.Errorf("%d starts, over after %s; want 1 and %s", starts, took, late)
				}
			})
		})
	}
}

func TestEachRestartIsLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var out bytes.Buffer
		ends := []error{nil, errors.New("signal: killed"), nil}
		Keep(ctx, slog.New(slog.NewJSONHandler(&out, nil)), func(context.Context) error {
			err := ends[0]
			if ends = ends[1:]; len(ends) == 0 {
				cancel()
			}
			return err
		})
		got := strings.Split(strings.TrimSpace(out.String()), "\n")
		want := []string{
			`"error":"none, it has exited with 0","ran":"0s","after":"1s"`,
			`"error":"signal: killed","ran":"0s","after":"2s"`,
		}
		if len(got) != len(want) || !strings.Contains(got[0], want[0]) || !strings.Contains(got[1], want[1]) {
			t.Errorf("logged %q, want %q", got, want)
		}
	})
}
