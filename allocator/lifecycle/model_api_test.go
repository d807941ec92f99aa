package lifecycle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"go4.org/netipx"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	recording "k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/choice"
	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

var (
	errTrapped = apierrors.NewForbidden(poolKind, "", errors.New("the model looks only what would be written"))
	poolKind   = schema.GroupResource{Group: crdv1.GroupVersion.Group, Resource: "spiderippools"}
	podKind    = schema.GroupResource{Resource: "pods"}
)

// book returns the real ledger as a process has it that has seen what the step has seen.
func (s *turn) book(used func(netip.Addr) bool) *ledger.Ledger {
	return ledger.New(ledger.Options{API: store{s}, Pools: s, Used: used, Caps: ledger.Caps{Namespace: 9, Owner: 9}, Now: func() time.Time { return s.now.clock }})
}

// used is what the view of this process knows of addresses (I7).
func (s *turn) used(a netip.Addr) bool { return len(s.Live(a)) > 0 }

// Apply makes a change through the real ledger, which waits for nobody here.
func (s *turn) Apply(ctx context.Context, pool string, change ledger.Change) error {
	change.Patience = 0
	return s.book(s.used).Apply(ctx, pool, change)
}

func (s *turn) Bind(ctx context.Context, r allocator.Reservation, slots []choice.Slot, fence func(*ledger.Tx) error) ([]crdv1.Claim, error) {
	return s.book(s.used).Bind(ctx, r, slots, fence)
}

func (s *turn) Available(state *ledger.State, limit int) int {
	return s.book(s.used).Available(state, limit)
}

func (s *turn) MostKept(size uint64) int { return s.book(s.used).MostKept(size) }

func (s *turn) Pool(name string) (*crdv1.SpiderIPPool, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.seen.pools[name]
	return p, ok
}

func (s *turn) All() iter.Seq[*crdv1.SpiderIPPool] { return maps.Values(s.seen.pools) }

// mayWrite counts a write; an error says that it is not made.
func (s *turn) mayWrite() error {
	s.writes++
	if s.trap || s.writes > s.limit {
		return errTrapped
	}
	return nil
}

// dead reports whether the answer to the write just made does not arrive.
func (s *turn) dead() bool { return s.lost && s.writes == s.limit }

// catchesUp is for reads that come after the first: what they are asked for is as it is now, and so
// is the view.
func (s *turn) catchesUp() {
	s.seen = s.now
	if s.l != nil {
		s.view = s.l.view
	}
}

// store is the API server as the ledger has it.
type store struct{ s *turn }

func (a store) Get(_ context.Context, name string) (*crdv1.SpiderIPPool, error) {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	a.s.catchesUp()
	p, ok := a.s.now.pools[name]
	if !ok {
		return nil, apierrors.NewNotFound(poolKind, name)
	}
	return p, nil
}

func (a store) UpdateStatus(_ context.Context, pool *crdv1.SpiderIPPool) (*crdv1.SpiderIPPool, error) {
	s := a.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.trap && s.writes < s.limit { // what is refused for its version is no write
		p, ok := s.now.pools[pool.Name]
		switch {
		case !ok:
			return nil, apierrors.NewNotFound(poolKind, pool.Name)
		case p.ResourceVersion != pool.ResourceVersion:
			return nil, apierrors.NewConflict(poolKind, pool.Name, errors.New("somebody else wrote"))
		}
	}
	if err := s.mayWrite(); err != nil {
		return nil, err
	}
	stored := *s.now.pools[pool.Name]
	stored.Status = *pool.Status.DeepCopy()
	s.now.putPool(&stored)
	if s.dead() {
		return nil, errTrapped
	}
	return s.now.pools[pool.Name], nil
}

func (w *world) putPool(p *crdv1.SpiderIPPool) {
	w.version++
	p.ResourceVersion = strconv.Itoa(w.version)
	w.pools[p.Name] = p
	for _, l := range w.leaders {
		if l != nil && l.pending != nil && l.pending.job == "tend" && l.pending.pool == p.Name && !w.s.stale {
			l.pending = nil // its write meets a conflict, and it decides anew, of nothing else that it has read
		}
	}
}

// reader is the API server as jobs read it past every cache.
type reader struct{ s *turn }

func (r reader) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	w := r.s.reads
	switch into := into.(type) {
	case *corev1.Pod:
		if p, ok := w.pods[key.Name]; ok {
			p.DeepCopyInto(into)
			return nil
		}
		return apierrors.NewNotFound(podKind, key.Name)
	case *corev1.Node:
		if n, ok := w.nodes[key.Name]; ok {
			n.DeepCopyInto(into)
			return nil
		}
	case *crdv1.SpiderIPPool:
		if p, ok := w.pools[key.Name]; ok {
			p.DeepCopyInto(into)
			return nil
		}
	case *unstructured.Unstructured:
		if w.owner != nil {
			into.Object = w.owner.Object
			return nil
		}
	default:
		panic(fmt.Sprintf("nobody reads a %T", into))
	}
	return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
}

func (r reader) List(_ context.Context, into client.ObjectList, _ ...client.ListOption) error {
	w := r.s.reads
	switch into := into.(type) {
	case *metav1.PartialObjectMetadataList:
		into.ResourceVersion = strconv.FormatUint(w.revision(), 10)
		for _, name := range slices.Sorted(maps.Keys(w.pods)) {
			into.Items = append(into.Items, metav1.PartialObjectMetadata{ObjectMeta: w.pods[name].ObjectMeta})
		}
	case *corev1.NodeList:
		for _, name := range slices.Sorted(maps.Keys(w.nodes)) {
			into.Items = append(into.Items, *w.nodes[name])
		}
	case *crdv1.SpiderIPPoolList:
		for _, name := range slices.Sorted(maps.Keys(w.pools)) {
			into.Items = append(into.Items, *w.pools[name])
		}
	default:
		panic(fmt.Sprintf("nobody lists a %T", into))
	}
	return nil
}

// writer is the API server as jobs write to it beside the ledger.
type writer struct {
	client.Client // nil: all that is used is below

	turn *turn
}

// Update is for finalizers.
func (c writer) Update(_ context.Context, object client.Object, _ ...client.UpdateOption) error {
	pool, ok := object.(*crdv1.SpiderIPPool)
	if !ok {
		panic(fmt.Sprintf("nobody updates a %T", object))
	}
	w := c.turn.now
	stored, ok := w.pools[pool.Name]
	switch {
	case !ok || stored.UID != pool.UID:
		return apierrors.NewNotFound(poolKind, pool.Name)
	case stored.ResourceVersion != pool.ResourceVersion:
		return apierrors.NewConflict(poolKind, pool.Name, errors.New("somebody else wrote"))
	}
	if err := c.turn.mayWrite(); err != nil {
		return err
	}
	next := *stored
	next.Finalizers = pool.Finalizers
	if !next.DeletionTimestamp.IsZero() && len(next.Finalizers) == 0 {
		delete(w.pools, pool.Name)
		return nil
	}
	w.putPool(&next)
	return nil
}

// Patch writes annotations and scheduling gates of a pod, where it is as the patch says.
func (c writer) Patch(_ context.Context, object client.Object, patch client.Patch, _ ...client.PatchOption) error {
	data, err := patch.Data(object)
	if err != nil {
		return err
	}
	var p struct {
		Metadata struct {
			choice.Preconditions
			Annotations map[string]*string `json:"annotations"`
		} `json:"metadata"`
		Spec *struct {
			SchedulingGates []corev1.PodSchedulingGate `json:"schedulingGates"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return err
	}
	w := c.turn.now
	pod, ok := w.pods[object.GetName()]
	switch {
	case !ok || pod.UID != p.Metadata.UID:
		return apierrors.NewNotFound(podKind, object.GetName())
	case pod.ResourceVersion != p.Metadata.ResourceVersion:
		c.turn.catchesUp()
		return apierrors.NewConflict(podKind, pod.Name, errors.New("somebody else wrote"))
	}
	if err := c.turn.mayWrite(); err != nil {
		return err
	}
	w.edit(pod.Name, func(pod *corev1.Pod) {
		for key, value := range p.Metadata.Annotations {
			if value == nil {
				delete(pod.Annotations, key)
				continue
			}
			pod.Annotations[key] = *value
		}
		if p.Spec != nil {
			pod.Spec.SchedulingGates = p.Spec.SchedulingGates
		}
		w.runs(pod)
	})
	if p.Metadata.Annotations[crdv1.AnnotationReservation] != nil {
		w.durable(w.pods[pod.Name])
	}
	if c.turn.dead() {
		return errTrapped
	}
	stored, ok := object.(*corev1.Pod)
	if !ok {
		panic(fmt.Sprintf("nobody patches a %T", object))
	}
	w.pods[pod.Name].DeepCopyInto(stored)
	return nil
}

// durable checks that a pod carries what pools record for it alone (I4).
func (w *world) durable(pod *corev1.Pod) {
	p := compact(pod)
	for _, c := range p.Claims {
		if w.pools[c.Pool] == nil || !usable(w.pools[c.Pool]) {
			continue // deleted by force: what is claimed of it will be put back
		}
		if a, ok := w.record(c.Pool).Record.ByToken(allocator.Token(p.Token), c.NIC); !ok || a != c.Address {
			w.violate("I4: pod %s was given %s, which pool %s does not record under its token", pod.Name, c.Address, c.Pool)
		}
	}
}

// none are the addresses that no pool may hand out.
func none() ([]netipx.IPRange, uint64) { return nil, 0 }

// at is how far handlers have been told.
type at struct{ revision uint64 }

func (a at) Revision() uint64 { return a.revision }

// deaf is the queue of a controller that the model runs by itself.
type deaf struct{ view.Queue }

func (deaf) Add(reconcile.Request) {}

// silence records no events.
type silence struct{ recording.EventRecorder }

func (silence) Eventf(runtime.Object, runtime.Object, string, string, string, string, ...any) {}

// mapper knows StatefulSets.
type mapper struct{ meta.RESTMapper }

func (mapper) RESTMapping(gk schema.GroupKind, _ ...string) (*meta.RESTMapping, error) {
	return &meta.RESTMapping{GroupVersionKind: gk.WithVersion("v1")}, nil
}
