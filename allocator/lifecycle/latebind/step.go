package latebind

import (
	"context"
	"errors"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Binding is the binding of one pod, step by step: what the reconciler does in one go, the model
// can interleave with other actions.
type Binding struct {
	try    attempt
	claims []crdv1.Claim // reserved; nil before
}

// Decide returns what is to be reserved for a pod as it is seen; nil where it is given nothing now.
func Decide(ctx context.Context, o Options, api client.Reader, pod *view.Pod, now time.Time) *Binding {
	p := &pendingPod{pod: pod}
	r := resolver{api: api, chooser: o.Chooser}
	if err := r.resolve(ctx, p, basis{}, now); err != nil || p.resolution != resolved {
		return nil
	}
	all := []*request{p.request()}
	b := &reconciler{binder: binder{ledger: o.Ledger, leader: o.Leader}, pools: o.Pools, exhausted: map[string]exhaustion{}}
	capacities := b.capacities(all, now)
	v := decide(all, capacities)[0]
	if v.grants == nil {
		return nil
	}
	return &Binding{try: attempt{pendingPod: p, verdict: v, capacities: capacities}}
}

// Step reserves or, if that is done, writes to the pod, and returns what is left to do; nil where
// nothing is. It does not change b. lost says that leadership was lost.
func (b *Binding) Step(ctx context.Context, o Options, c client.Client, api client.Reader) (next *Binding, lost bool) {
	p, try := *b.try.pendingPod, b.try
	try.pendingPod = &p
	w := binder{
		statusWriter: statusWriter{c}, api: api, ledger: o.Ledger, leader: o.Leader, events: &events{o.Recorder}, metrics: o.Metrics, step: o.Step,
		onLeadershipLost: o.OnLeadershipLost,
	}
	if b.claims != nil {
		return nil, errors.Is(w.write(ctx, &try, b.claims), ledger.ErrLeadershipLost)
	}
	claims, err := w.reserve(ctx, &try)
	if err != nil {
		return nil, errors.Is(err, ledger.ErrLeadershipLost)
	}
	return &Binding{try, claims}, false
}

// Pod returns the pod as it was read.
func (b *Binding) Pod() *view.Pod { return b.try.pod }

// Claims returns what was reserved for the pod; nil before.
func (b *Binding) Claims() []crdv1.Claim { return b.claims }
