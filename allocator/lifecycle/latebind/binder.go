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

// bindTimeout limits how long the binds of one pass may take: all other pods wait for them.
const bindTimeout = 15 * time.Second

// retry is how soon a pod that a pool refused is tried again if the watch shows nothing new; each
// failure doubles it, up to longestRetry.
const (
	retry        = time.Second
	longestRetry = 30 * time.Second
)

// errOutdated says that a decision rests on outdated data.
var errOutdated = errors.New("what was reserved for the pod before is not reserved any more")

// failure is the result of the last failed attempt to bind a pod.
type failure struct {
	reason, message string
	failures        int
	notBefore       time.Time // of the next attempt
	refused         uint64    // revision of the pod for which no attempt can succeed; 0 where one may
}

// active reports whether the pod must not be tried now.
func (f failure) active(p *view.Pod, now time.Time) bool {
	return f.permanent(p) || now.Before(f.notBefore)
}

// permanent reports whether the pod has not changed since the API server refused it.
func (f failure) permanent(p *view.Pod) bool { return f.refused > 0 && f.refused == p.Revision }

// attempt is one attempt to bind a pod.
type attempt struct {
	*pendingPod
	verdict    verdict
	capacities map[string]*capacity

	result   string        // empty if there was no time for it
	full     []string      // pools that turned out to have no address
	claims   []crdv1.Claim // what the pod was given; nil where it was not
	reported bool          // the condition says that the pod has its addresses
}

// binder binds one pod. The order of its steps is safe even if this leader is an old one, or loses
// leadership in between:
//
//	read the pod ─▶ reserve, fenced ─▶ write to the pod, if it has not changed since
//
// A reservation of a pending pod is never taken away, and the token is a function of the pod, so
// the next leader that binds the pod finds the same addresses reserved. An address that was found
// is confirmed by a read: where there is nothing to write, the ledger answers from memory, which
// may date from before this leader lost its leadership.
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

// bind tries to bind a pod and records the result in s. It returns an error if leadership was lost.
func (r binder) bind(ctx context.Context, s *attempt, now time.Time) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the time of this pass is up; the next one continues
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

// stop gives up leadership if err says that it was lost, and returns err.
func (r binder) stop(err error) error {
	if errors.Is(err, ledger.ErrLeadershipLost) {
		r.onLeadershipLost(err)
		return reconcile.TerminalError(err)
	}
	return err
}

// StepBound is the verb in logs and metrics for writing an address to a pending pod.
const StepBound = "bound"

// reserve takes what was decided.
func (r binder) reserve(ctx context.Context, s *attempt) ([]crdv1.Claim, error) {
	v := s.chosen.Reservation
	v.Token = s.verdict.token
	v.Pod = allocator.PodRef{Namespace: s.pod.Namespace, Name: s.pod.Name, UID: string(s.pod.UID)}
	var mu sync.Mutex
	found := map[string]map[netip.Addr]bool{} // pool -> the addresses that it already had for the token
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

// slots limits each slot to the pool that was decided: falling back to another pool would overtake
// the pods that are queued there. For a pod with a stable identity the others follow, since one of
// them may keep its address.
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

// confirm reads whether the reservation is still there and the pool is still under this leader's
// term.
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

// write writes the addresses to the pod and removes our gate.
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
	for try := 0; try < maxRewrites && apierrors.IsConflict(err); try++ {
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
		return writeError{err}
	}
	return s.update(pod)
}

// writeError is what the API server answered to the write to the pod.
type writeError struct{ error }

func (e writeError) Unwrap() error { return e.error }

// maxRewrites is how often a write to a pod is retried after a conflict with a write to its status.
// For a pod that has a node but no address these are frequent: the kubelet writes whenever setting
// up the network fails.
const maxRewrites = 3

// reread reads a pod again, and reports whether the decision still holds: the pod is still pending,
// and only its status has changed.
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

// bound records that a pod has its addresses.
func (r binder) bound(ctx context.Context, s *attempt, claims []crdv1.Claim) {
	s.result, s.claims = resultBound, claims
	for _, c := range claims {
		view.LogStep(log.FromContext(ctx), StepBound, c.Pool, c.Address, s.pod, "token", s.verdict.token)
		r.step(StepBound)
	}
	r.events.assigned(s.pod, claims)
}

// reportAssigned sets the pod's condition to true. It comes after all pods of the pass got their
// addresses, which is what they wait for.
func (r binder) reportAssigned(ctx context.Context, s *attempt) {
	if s.claims == nil {
		return
	}
	if err := r.assigned(ctx, s.pod, s.claims); err != nil {
		log.FromContext(ctx).V(1).Info("the condition of a pod was not written", "pod", s.pod.String(), "reason", err.Error())
		return
	}
	s.reported = true
}

// fail records why an attempt failed.
func (s *attempt) fail(err error, now time.Time) {
	var exhausted *ledger.ExhaustedError
	switch {
	case errors.As(err, &exhausted):
		s.refused(exhausted, now)
	case errors.Is(err, errOutdated), errors.Is(err, ledger.ErrReplaced), apierrors.IsConflict(err):
		s.result = resultChanged
		s.forget()
	case apierrors.IsNotFound(err): // the pod is gone, and its reservation will expire
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
		s.forget() // it may have been written in spite of the error
		s.failure.failures++
		s.failure.notBefore = now.Add(min(retry<<min(s.failure.failures-1, 10), longestRetry))
	}
}

// byWebhook and byPolicy find what refused a write. The API server says it only in the message.
var (
	byWebhook = regexp.MustCompile(`(?:admission|calling) webhook "([^"]+)"`)
	byPolicy  = regexp.MustCompile(`ValidatingAdmissionPolicy '([^']+)'`)
)

// byAPIServer is named when nothing else has refused a write.
const byAPIServer = "the API server"

// refuser returns what refused the write to a pod; empty where nothing did. A refused write to a
// pool is no fault of the pod, and is tried again.
func refuser(err error) string {
	if !errors.As(err, new(writeError)) {
		return ""
	}
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

// refused records why pools refused an address. That a pool is full is left to the next decision,
// which has a better message.
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
	s.failure.reason, s.failure.message = e.Cause(), s.verdict.describe(texts)
}

// ungate removes our gate from a pod that needs no address from us.
func (r binder) ungate(ctx context.Context, l *pendingPod) {
	pod, err := r.patch(ctx, l.object, choice.Patch{Gate: choice.GateRemoved})
	if err == nil {
		err = l.update(pod)
	}
	switch {
	case err == nil:
		log.FromContext(ctx).Info("removed the gate: the pod needs no address from us", "pod", l.pod.String(), "uid", l.pod.UID)
		r.events.ungated(l.pod)
		return
	case !apierrors.IsConflict(err) && !apierrors.IsNotFound(err):
		log.FromContext(ctx).Error(err, "removing the gate of a pod", "pod", l.pod.String(), "uid", l.pod.UID)
	}
	l.forget()
}

// patch changes a pod in one write, if it has not changed since it was read.
func (r binder) patch(ctx context.Context, pod *corev1.Pod, p choice.Patch) (*corev1.Pod, error) {
	data, err := p.Merge(pod)
	if err != nil {
		return nil, err
	}
	written := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}}
	if err := r.client.Patch(ctx, written, client.RawPatch(types.MergePatchType, data), fieldManager); err != nil {
		return nil, fmt.Errorf("writing to pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return written, nil
}
