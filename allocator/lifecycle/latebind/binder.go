package latebind

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/choice"
	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// serveTimeout bounds the tries to bind pods of one pass: all others wait for
// them.
const serveTimeout = 15 * time.Second

// retry is how soon a pod that a pool refused is tried again when the watch
// shows nothing new; failures double it, up to longestRetry.
const (
	retry        = time.Second
	longestRetry = 30 * time.Second
)

// errOutdated says that a decision rests on what is not so any more.
var errOutdated = errors.New("what was reserved for the pod before is not reserved any more")

// failure is what happened at the last try to bind a pod.
type failure struct {
	reason, message string
	failures        int
	notBefore       time.Time // of the next try
	refused         uint64    // revision of the pod with which no try can succeed; 0 for none
}

// stands reports whether the pod is not to be tried now.
func (f failure) stands(p *view.Pod, now time.Time) bool {
	return f.lasts(p) || now.Before(f.notBefore)
}

// lasts reports whether the pod is as it was when the API server refused it.
func (f failure) lasts(p *view.Pod) bool { return f.refused > 0 && f.refused == p.Revision }

// attempt is a try to bind a pod.
type attempt struct {
	*pendingPod
	verdict    verdict
	capacities map[string]*capacity

	result string        // empty where there was no time for a try
	full   []string      // pools that had no address after all
	claims []crdv1.Claim // what the pod was given; nil where it was not
	said   bool          // the condition says that the pod has its addresses
}

// binder binds one pod. The order of its steps makes up for being a leader of
// yesterday, or one that loses its lead in between:
//
//	read the pod ─▶ reserve, fenced ─▶ write to the pod, if it is as it was read
//
// A reservation of a pod that waits is never taken away, and a token is a function
// of the pod, so whoever binds the pod next finds the same addresses reserved.
// What is found is confirmed by a read: the ledger answers from what it knows
// where there is nothing to write, and that may be of a time when this leader led.
type binder struct {
	statusWriter
	api              client.Reader // not a cache
	ledger           Ledger
	leader           Leader
	events           *events
	metrics          *Metrics
	step             func(verb string) // counts a step in the life of an address
	onLeadershipLost func(error)
}

// serve tries to bind a pod and notes in s what came of it. An error says that
// another leads.
func (r binder) serve(ctx context.Context, s *attempt, now time.Time) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the time of this pass is up, and there will be another
	}
	claims, err := r.reserve(ctx, s)
	if err == nil {
		err = r.write(ctx, s, claims)
	}
	if err == nil {
		r.bound(ctx, s, claims)
		return nil
	}
	if errors.Is(err, ledger.ErrLeadershipLost) {
		s.result = resultFailed
		return r.stop(err)
	}
	before := s.failure
	s.fail(err, now)
	if s.result == resultDenied && before.message != s.failure.message {
		log.FromContext(ctx).Info("a pod cannot be given its addresses: the write to it is refused", "pod", s.pod.String(), "uid", s.pod.UID, "node", s.pod.Node, "reason", err.Error())
	}
	if s.result == resultFailed {
		logPanic(ctx, err, s.pod)
		log.FromContext(ctx).Error(err, "binding a pod late", "pod", s.pod.String(), "uid", s.pod.UID, "node", s.pod.Node)
	}
	return nil
}

// stop stops leading where err says that another leads, and returns err.
func (r binder) stop(err error) error {
	if errors.Is(err, ledger.ErrLeadershipLost) {
		r.onLeadershipLost(err)
		return reconcile.TerminalError(err)
	}
	return err
}

// StepBound is what the log and the metrics call that an address was written to a
// pod that waited.
const StepBound = "bound"

// reserve takes what was decided upon.
func (r binder) reserve(ctx context.Context, s *attempt) ([]crdv1.Claim, error) {
	v := s.chosen.Reservation
	v.Token = s.verdict.token
	v.Pod = allocator.PodRef{Namespace: s.pod.Namespace, Name: s.pod.Name, UID: string(s.pod.UID)}
	var mu sync.Mutex
	found := map[string]map[netip.Addr]bool{} // pool -> the addresses that it had for the token
	claims, err := r.ledger.Bind(ctx, v, s.slots(), func(tx *ledger.Tx) error {
		p, ok := s.capacities[tx.Pool.Name]
		if !ok || p.foreign {
			return fmt.Errorf("pool %q: not one that was decided upon", tx.Pool.Name)
		}
		mu.Lock()
		defer mu.Unlock()
		if found[tx.Pool.Name] == nil {
			found[tx.Pool.Name] = map[netip.Addr]bool{}
		}
		for _, a := range tx.State.Record.AllByToken(v.Token) { // as stored, before this transaction
			found[tx.Pool.Name][a] = true
		}
		return ledger.Fence(r.leader.Term(), p.uid, func(*ledger.Tx) error { return nil })(tx)
	})
	if err != nil {
		return nil, err
	}
	for _, c := range claims {
		mu.Lock()
		again := found[c.Pool][c.Address]
		mu.Unlock()
		if again {
			if err := r.confirm(ctx, c, v.Token); err != nil {
				return nil, err
			}
			continue
		}
		view.LogStep(log.FromContext(ctx), "reserved", c.Pool, c.Address, s.pod, "token", v.Token)
	}
	return claims, nil
}

// slots returns for each slot the pool that was decided upon: to fall back to
// another would be to overtake those who wait there. Where the pod has a stable
// identity the others follow, since one of them may keep its address.
func (s *attempt) slots() []choice.Slot {
	slots := slices.Clone(s.verdict.slots)
	for i, g := range s.verdict.grants {
		pools := []string{g.pool}
		if s.verdict.identity != (allocator.Identity{}) {
			for _, pool := range slots[i].Pools {
				if pool != g.pool && !s.capacities[pool].foreign {
					pools = append(pools, pool)
				}
			}
		}
		slots[i].Pools = pools
	}
	return slots
}

// confirm reads whether a reservation stands and the pool is this leader's.
func (r binder) confirm(ctx context.Context, c crdv1.Claim, token allocator.Token) error {
	var pool crdv1.SpiderIPPool
	if err := r.api.Get(ctx, types.NamespacedName{Name: c.Pool}, &pool); err != nil {
		if apierrors.IsNotFound(err) {
			return errOutdated
		}
		return fmt.Errorf("reading pool %q: %w", c.Pool, err)
	}
	state, err := ledger.Read(&pool)
	if err != nil {
		return err
	}
	if pool.Status.Term != string(r.leader.Term()) {
		return fmt.Errorf("pool %q: %w", c.Pool, ledger.ErrLeadershipLost)
	}
	if a, ok := state.Record.ByToken(token, c.NIC); !ok || a != c.Address {
		return errOutdated
	}
	return nil
}

// write gives the pod its addresses and takes our gate away.
func (r binder) write(ctx context.Context, s *attempt, claims []crdv1.Claim) error {
	given, err := guard(func() (choice.Patch, error) { return s.chosen.Patch(string(s.verdict.token), claims) })
	if err != nil {
		return fmt.Errorf("writing down addresses of pod %s: %w", s.pod, err)
	}
	given.Gate = choice.GateRemoved
	if s.pod.Admitted {
		given.Remove = append(given.Remove, crdv1.AnnotationUnassigned)
	}
	whole := s.object
	pod, err := r.patch(ctx, whole, given)
	for try := 0; try < rewrites && apierrors.IsConflict(err); try++ {
		now, asBefore := r.reread(ctx, whole)
		if !asBefore {
			break
		}
		for _, c := range claims { // the version that is written to must be older than the proof
			if err := r.confirm(ctx, c, s.verdict.token); err != nil {
				return err
			}
		}
		whole = now
		pod, err = r.patch(ctx, whole, given)
	}
	if err != nil {
		return err
	}
	return s.update(pod)
}

// rewrites is how often a write to a pod is tried again because its status was
// written meanwhile. Kubelets do that whenever a pod's network cannot be set up,
// which is all the time for a pod that has a node and no address.
const rewrites = 3

// reread reads a pod again, and reports whether all that was decided of it
// stands: it still waits, and nothing but its status has changed.
func (r binder) reread(ctx context.Context, before *corev1.Pod) (now *corev1.Pod, asBefore bool) {
	now = &corev1.Pod{}
	if err := r.api.Get(ctx, types.NamespacedName{Namespace: before.Namespace, Name: before.Name}, now); err != nil {
		return nil, false
	}
	p, err := view.NewPod(now)
	if err != nil || now.UID != before.UID || !p.Waits() || sandboxed(now) {
		return nil, false
	}
	same := equality.Semantic.DeepEqual
	return now, same(now.Spec, before.Spec) && same(now.Labels, before.Labels) && same(now.Annotations, before.Annotations) &&
		same(now.OwnerReferences, before.OwnerReferences)
}

// bound notes that a pod has its addresses.
func (r binder) bound(ctx context.Context, s *attempt, claims []crdv1.Claim) {
	s.result, s.claims = resultBound, claims
	for _, c := range claims {
		view.LogStep(log.FromContext(ctx), StepBound, c.Pool, c.Address, s.pod, "token", s.verdict.token)
		r.step(StepBound)
	}
	r.events.assigned(s.pod, claims)
}

// say has the condition of a pod say that it has its addresses. That comes after
// all pods of the pass were given theirs: it is what they wait for.
func (r binder) say(ctx context.Context, s *attempt) {
	if s.claims == nil {
		return
	}
	if err := r.assigned(ctx, s.pod, s.claims); err != nil {
		log.FromContext(ctx).V(1).Info("the condition of a pod was not written", "pod", s.pod.String(), "reason", err.Error())
		return
	}
	s.said = true
}

// fail notes why a try came to nothing.
func (s *attempt) fail(err error, now time.Time) {
	var exhausted *ledger.ExhaustedError
	switch {
	case errors.As(err, &exhausted):
		s.refused(exhausted, now)
	case errors.Is(err, errOutdated), errors.Is(err, ledger.ErrReplaced), apierrors.IsConflict(err):
		s.result = resultChanged
		s.forget()
	case apierrors.IsNotFound(err): // of the pod: what is reserved for it is given back by expiry
		s.result = resultGone
		s.forget()
	default:
		s.result = resultFailed
		s.failure.reason, s.failure.message = crdv1.ReasonInternal, err.Error()
		by := refuser(err)
		if by != "" {
			s.result = resultDenied
			s.failure.reason, s.failure.message = crdv1.ReasonWriteRefused, by+" refuses the write that gives the pod its addresses: "+err.Error()
		}
		if apierrors.IsInvalid(err) && by == byAPIServer { // the same write cannot succeed; policies say Invalid too, and may change
			s.failure.refused = s.pod.Revision
		}
		s.forget() // it may have been written all the same
		s.failure.failures++
		s.failure.notBefore = now.Add(min(retry<<min(s.failure.failures-1, 10), longestRetry))
	}
}

// byWebhook and byPolicy find who refused a write. The API server says it in the
// message alone.
var (
	byWebhook = regexp.MustCompile(`(?:admission|calling) webhook "([^"]+)"`)
	byPolicy  = regexp.MustCompile(`ValidatingAdmissionPolicy '([^']+)'`)
)

// byAPIServer is who refuses a write that nobody else has refused.
const byAPIServer = "the API server"

// refuser says who refused a write to a pod; empty where nobody did.
func refuser(err error) string {
	if m := byWebhook.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Sprintf("webhook %q", m[1])
	}
	if m := byPolicy.FindStringSubmatch(err.Error()); m != nil {
		return fmt.Sprintf("admission policy %q", m[1])
	}
	if apierrors.IsInvalid(err) || apierrors.IsForbidden(err) {
		return byAPIServer
	}
	return ""
}

// refused notes what pools have against giving an address. That one is full the
// next decision says better.
func (s *attempt) refused(e *ledger.ExhaustedError, now time.Time) {
	s.result = resultRefused
	texts := make([]string, len(e.Refusals))
	for i, r := range e.Refusals {
		if r.Cause == crdv1.ReasonPoolFull {
			s.full = append(s.full, r.Pool)
		}
		texts[i] = fmt.Sprintf("pool %q: %s", r.Pool, r.Reason)
	}
	if e.Cause() == crdv1.ReasonPoolFull {
		return
	}
	s.failure.notBefore = now.Add(retry)
	s.failure.reason, s.failure.message = e.Cause(), s.verdict.tell(texts)
}

// ungate takes our gate from a pod that waits for no address.
func (r binder) ungate(ctx context.Context, l *pendingPod) {
	pod, err := r.patch(ctx, l.object, choice.Patch{Gate: choice.GateRemoved})
	if err == nil {
		err = l.update(pod)
	}
	switch {
	case err == nil:
		log.FromContext(ctx).Info("removed the gate: the pod waits for no address", "pod", l.pod.String(), "uid", l.pod.UID)
		r.events.ungated(l.pod)
		return
	case !apierrors.IsConflict(err) && !apierrors.IsNotFound(err):
		log.FromContext(ctx).Error(err, "removing the gate of a pod", "pod", l.pod.String(), "uid", l.pod.UID)
	}
	l.forget()
}

// patch changes a pod in one write, if the pod is as it was read.
func (r binder) patch(ctx context.Context, pod *corev1.Pod, p choice.Patch) (*corev1.Pod, error) {
	data, err := p.Merge(pod)
	if err != nil {
		return nil, err
	}
	written := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}}
	if err := r.client.Patch(ctx, written, client.RawPatch(types.MergePatchType, data), owner); err != nil {
		return nil, fmt.Errorf("writing to pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return written, nil
}
