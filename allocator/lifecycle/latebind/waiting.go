package latebind

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/choice"
	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// request is one pending pod and what it asks for.
type request struct {
	pod      *view.Pod
	rule     string             // the rule that chose the pools, for messages
	passed   string             // pools that it passed over and why, for messages
	slots    []choice.Slot      // the addresses
	token    allocator.Token    // the token of its reservations
	identity allocator.Identity // its stable identity; may be the zero value
}

// capacity is what one pool can give.
type capacity struct {
	foreign  bool   // this leader has not taken it over, so it must not write to it; unready says so
	unready  string // why it gives nothing new, full or not; empty where it is ready
	version  string // of the pool
	uid      types.UID
	size     uint64
	free     int               // new addresses that it can give, counted up to the number requested
	withheld uint64            // addresses that are neither taken nor handed out
	record   *allocator.Record // empty where it cannot be read
	fullText string            // cache of full
	most     int               // addresses that a namespace may keep without a running pod
	keeps    map[string]int    // cache of ledger.KeptByNamespace of it; nil before
}

// verdict is the decision on one pod.
type verdict struct {
	*request
	// grants has for each slot what the pod is given now; nil where it waits.
	grants []grant
	// reason and message say why it waits.
	reason, message string
	// waitsFor are the pools in which the next free address goes to this pod or to one before it.
	waitsFor []string
}

// grant is where an address of a pod comes from.
type grant struct {
	pool  string
	fresh bool // one of the pool's free addresses, not one that the pod already has
	found bool // already reserved for the pod
}

// compareWaiting orders pods by which is served first: higher priority, then older.
func compareWaiting(a, b *view.Pod) int {
	return cmp.Or(
		cmp.Compare(b.Priority, a.Priority),
		a.CreationTimestamp.Compare(b.CreationTimestamp.Time),
		strings.Compare(a.Namespace, b.Namespace),
		strings.Compare(a.Name, b.Name),
	)
}

// decide returns which pods are served now and why the others wait, in the order in which they are
// served.
//
// A pod gets everything it asks for or nothing: one that lacks an address in one pool takes none in
// another. Where it lacks one, all candidates have nothing left for it, so no later pod gets
// anything there either; it does not hold up pods that it does not compete with. A pod that waits
// for its own address, for a pool to become ready, or because its namespace keeps as many addresses
// as it may, holds up no other pod.
func decide(all []*request, pools map[string]*capacity) []verdict {
	d := decision{pools: pools, left: map[string]int{}, queued: map[string]bool{}}
	for name, s := range pools {
		d.left[name] = s.free
	}
	order := slices.SortedStableFunc(slices.Values(all), func(a, b *request) int { return compareWaiting(a.pod, b.pod) })
	verdicts := make([]verdict, len(order))
	for i, a := range order {
		verdicts[i] = d.next(a)
	}
	return verdicts
}

type decision struct {
	pools  map[string]*capacity // pool -> what it can give
	left   map[string]int       // pool -> what is left of it
	queued map[string]bool      // pool -> a pod waits for an address of it
}

// shortage is why a candidate gives a pod nothing.
type shortage struct{ pool, reason, text string }

// next decides on the next pod.
func (d *decision) next(a *request) verdict {
	v := verdict{request: a}
	var lacks []shortage
	for _, slot := range a.slots {
		g, why := d.slot(a, slot)
		if g.fresh {
			d.left[g.pool]-- // the same pool may serve another NIC of the pod
		}
		v.grants = append(v.grants, g)
		lacks = append(lacks, why...)
	}
	if len(lacks) == 0 {
		return v
	}
	for _, g := range v.grants {
		if g.fresh {
			d.left[g.pool]++
		}
	}
	v.grants = nil
	v.reason, v.message = explain(a, lacks)
	for _, l := range lacks {
		if l.reason == crdv1.ReasonPoolFull || l.reason == crdv1.ReasonQueued {
			v.waitsFor = append(v.waitsFor, l.pool)
			d.queued[l.pool] = true
		}
	}
	return v
}

// slot returns which candidate gives a pod one of its addresses, or why none does. What the pool
// already has for it is preferred to anything new.
func (d *decision) slot(a *request, slot choice.Slot) (grant, []shortage) {
	if g, why, there := d.present(a, slot); there {
		return g, why
	}
	var lacks []shortage
	for _, pool := range slot.Pools {
		switch s := d.pools[pool]; {
		case s.unready != "":
			lacks = append(lacks, shortage{pool, crdv1.ReasonPoolNotReady, s.unready})
		case s.keepsEnough(a.pod.Namespace) != "": // before granting what the ledger would refuse
			lacks = append(lacks, shortage{pool, crdv1.ReasonOverCap, s.keepsEnough(a.pod.Namespace)})
		case d.left[pool] > 0:
			return grant{pool: pool, fresh: true}, nil
		case d.queued[pool]:
			lacks = append(lacks, shortage{pool, crdv1.ReasonQueued, s.full() + ", and other pods wait longer for one"})
		default:
			lacks = append(lacks, shortage{pool, crdv1.ReasonPoolFull, s.full()})
		}
	}
	return grant{}, lacks
}

// present reports whether a candidate already has something for the pod: a reservation, or the
// address kept for its identity.
func (d *decision) present(a *request, slot choice.Slot) (grant, []shortage, bool) {
	for _, pool := range slot.Pools {
		s := d.pools[pool]
		switch _, ok := s.record.ByToken(a.token, slot.NIC); {
		case ok && s.foreign:
			return grant{}, []shortage{{pool, crdv1.ReasonPoolNotReady, s.unready}}, true
		case ok:
			return grant{pool: pool, found: true}, nil, true
		}
	}
	identity := a.identity.OnNIC(slot.NIC)
	for _, pool := range slot.Pools {
		switch why, ok := d.pools[pool].kept(identity); {
		case ok && why != nil:
			why.pool = pool
			return grant{}, []shortage{*why}, true
		case ok:
			return grant{pool: pool}, nil, true
		}
	}
	return grant{}, nil, false
}

// full says that the pool has no address to give, and when it may have one.
func (s *capacity) full() string {
	if s.fullText == "" {
		u := ledger.Usage{Size: s.size, Counts: s.record.Counts(), Given: s.free}
		if s.withheld > 0 {
			u.Withheld = append(u.Withheld, fmt.Sprintf("%d named by SpiderReservedIPs or used by something else in the cluster", s.withheld))
		}
		s.fullText = u.String()
	}
	return s.fullText
}

// kept reports whether the pool keeps an address for an identity, and what that waits for before
// the next pod may have it; nil where nothing.
func (s *capacity) kept(i allocator.Identity) (*shortage, bool) {
	if i == (allocator.Identity{}) {
		return nil, false
	}
	a, ok := s.record.ByIdentity(i)
	if !ok {
		return nil, false
	}
	if reason, text := ledger.Kept(s.record, a, s.unready); reason != "" {
		return &shortage{reason: reason, text: text}, true
	}
	return nil, true
}

// keepsEnough says why the pool gives a namespace nothing new; empty where it may.
func (s *capacity) keepsEnough(namespace string) string {
	if s.keeps == nil {
		s.keeps = ledger.KeptByNamespace(s.record)
	}
	return ledger.KeepsEnough(s.keeps, namespace, s.most)
}

// explain returns the weightiest reason, and a message that names every candidate.
func explain(a *request, lacks []shortage) (reason, message string) {
	reasons, texts := make([]string, len(lacks)), make([]string, len(lacks))
	for i, l := range lacks {
		reasons[i] = l.reason
		texts[i] = fmt.Sprintf("pool %q: %s", l.pool, l.text)
	}
	return ledger.Weightiest(reasons), a.describe(texts)
}

// describe says which rule chose the pools, why none of them gives an address, and which were
// passed over.
func (a *request) describe(texts []string) string {
	text := "pools chosen by " + a.rule + ": " + strings.Join(texts, "; ")
	if a.passed != "" {
		text += "; passed over: " + a.passed
	}
	return text
}
