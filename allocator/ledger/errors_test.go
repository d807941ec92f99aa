package ledger

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

func TestAnExhaustedErrorTellsItsWeightiestCause(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		slots       [][]string // the causes of each slot's refusals; none where it was served
		want        string
		wantPassing bool
	}{
		"full":                              {[][]string{{crdv1.ReasonPoolFull}}, crdv1.ReasonPoolFull, false},
		"full and queued":                   {[][]string{{crdv1.ReasonPoolFull, crdv1.ReasonQueued}}, crdv1.ReasonQueued, false},
		"queued and over the cap":           {[][]string{{crdv1.ReasonOverCap, crdv1.ReasonQueued}}, crdv1.ReasonOverCap, true},
		"over the cap and not ready":        {[][]string{{crdv1.ReasonOverCap, crdv1.ReasonPoolNotReady}}, crdv1.ReasonPoolNotReady, true},
		"its predecessor":                   {[][]string{{crdv1.ReasonPoolNotReady, crdv1.ReasonPredecessor}}, crdv1.ReasonPredecessor, true},
		"its predecessor's hold":            {[][]string{{crdv1.ReasonAddressHeld}}, crdv1.ReasonAddressHeld, false},
		"its address, and full":             {[][]string{{crdv1.ReasonWithdrawn}, {crdv1.ReasonPoolFull}}, crdv1.ReasonWithdrawn, false},
		"one slot served":                   {[][]string{{}, {crdv1.ReasonOverCap}}, crdv1.ReasonOverCap, true},
		"a slot that passes and one that":   {[][]string{{crdv1.ReasonOverCap}, {crdv1.ReasonPoolFull}}, crdv1.ReasonOverCap, false},
		"two slots that pass":               {[][]string{{crdv1.ReasonOverCap}, {crdv1.ReasonPredecessor}}, crdv1.ReasonPredecessor, true},
		"held in one, predecessor in other": {[][]string{{crdv1.ReasonAddressHeld}, {crdv1.ReasonPredecessor}}, crdv1.ReasonAddressHeld, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			errs := make([]error, len(c.slots))
			for i, causes := range c.slots {
				var e ExhaustedError
				for j, cause := range causes {
					e.Refusals = append(e.Refusals, &RefusedError{Pool: fmt.Sprintf("pool-%d-%d", i, j), Cause: cause})
				}
				if len(causes) > 0 {
					errs[i] = &e
				}
			}
			var got *ExhaustedError
			if !errors.As(merge(errs), &got) {
				t.Fatalf("got %v", merge(errs))
			}
			if got.Cause() != c.want || got.Passing() != c.wantPassing || !got.Exhausted() {
				t.Errorf("cause %s, passing %t, want %s and %t", got.Cause(), got.Passing(), c.want, c.wantPassing)
			}
		})
	}
}

func TestAWriteThatEtcdRefusesForItsSizeIsNotTriedForEver(t *testing.T) {
	t.Parallel()
	var m memory
	m.add("p", "10.1.0.0/24", "10.1.0.1")
	refuses := errors.New("etcdserver: request is too large")
	l := New(Options{API: flaky{&m, func() error { return apierrors.NewInternalError(refuses) }}, Pools: &m})
	_, err := l.Reserve(t.Context(), toCome("default", ""), slots([]string{"p"}))
	if err == nil || t.Context().Err() != nil || !strings.Contains(err.Error(), refuses.Error()) {
		t.Errorf("got %v, want what etcd said", err)
	}
}
