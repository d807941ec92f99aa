package admission

import (
	"testing"
	"testing/synctest"
	"time"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

func TestAPodWaitsForWhatPasses(t *testing.T) {
	t.Parallel()
	predecessor := exhaustedError{cause: crdv1.ReasonPredecessor, passing: true}
	overCap := exhaustedError{cause: crdv1.ReasonOverCap, passing: true}
	tests := map[string]struct {
		fail         func(attempt int) error
		ring         time.Duration // pools change that often; 0: never
		wantTook     time.Duration
		wantReason   string // empty: it has its address
		wantAttempts int
	}{
		"until a pool has changed": {
			fail:     func(attempt int) error { return map[bool]error{true: predecessor}[attempt == 1] },
			ring:     300 * time.Millisecond,
			wantTook: 300 * time.Millisecond, wantAttempts: 2,
		},
		"with a pause between two tries, however often pools change": {
			fail:     func(attempt int) error { return map[bool]error{true: predecessor}[attempt < 5] },
			ring:     time.Millisecond,
			wantTook: 15 * firstPause, wantAttempts: 5,
		},
		"as long as its patience lasts": {
			fail: always(predecessor), ring: 700 * time.Millisecond,
			wantTook: patience, wantReason: crdv1.ReasonPredecessor, wantAttempts: 3,
		},
		"also where nothing changes": {
			fail:     always(predecessor),
			wantTook: patience, wantReason: crdv1.ReasonPredecessor, wantAttempts: 1,
		},
		"less long for a cap, which keeps a controller's other pods waiting": {
			fail:     always(exhaustedError{cause: crdv1.ReasonOverCap, passing: true}),
			wantTook: capPatience, wantReason: crdv1.ReasonOverCap, wantAttempts: 1,
		},
		"and no longer once it is full": {
			fail: func(attempt int) error {
				if attempt == 1 {
					return predecessor
				}
				return exhaustedError{cause: crdv1.ReasonPoolFull}
			},
			ring: time.Second, wantTook: time.Second, wantReason: crdv1.ReasonPoolFull, wantAttempts: 2,
		},
		"a moment for a cap": {
			fail: always(overCap), ring: 100 * time.Millisecond,
			wantTook: capPatience, wantReason: crdv1.ReasonOverCap, wantAttempts: 3,
		},
		"until others have made room below a cap": {
			fail:     func(attempt int) error { return map[bool]error{true: overCap}[attempt == 1] },
			ring:     200 * time.Millisecond,
			wantTook: 200 * time.Millisecond, wantAttempts: 2,
		},
		"no longer for a predecessor that had to wait for a cap first": {
			fail: func(attempt int) error {
				if attempt == 1 {
					return overCap
				}
				return predecessor
			},
			ring: 200 * time.Millisecond, wantTook: patience, wantReason: crdv1.ReasonPredecessor, wantAttempts: 6,
		},
		"but not for what does not pass": {
			fail: always(exhaustedError{cause: crdv1.ReasonPoolFull}), ring: time.Millisecond,
			wantReason: crdv1.ReasonPoolFull, wantAttempts: 1,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld().pools(pool("a", "10.1.0.0/16"))
				w.reserver.fail = test.fail
				if test.ring > 0 {
					done := make(chan struct{})
					defer close(done)
					go func() {
						for {
							select {
							case <-done:
								return
							case <-time.After(test.ring):
								w.signal.Ring()
							}
						}
					}()
				}
				start := time.Now()
				response := w.webhook(t).Handle(t.Context(), create(t, pod4()))
				if took := time.Since(start).Truncate(10 * time.Millisecond); took != test.wantTook {
					t.Errorf("took %s, want %s", took, test.wantTook)
				}
				if _, reason := w.counted(t); reason != test.wantReason || !response.Allowed {
					t.Errorf("counted for %q, answered %+v", reason, response)
				}
				if w.reserver.attempts != test.wantAttempts {
					t.Errorf("%d attempts, want %d", w.reserver.attempts, test.wantAttempts)
				}
			})
		})
	}
}
