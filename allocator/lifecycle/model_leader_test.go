package lifecycle

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/lifecycle/latebind"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// leader is the memory of one process that believes to lead.
type leader struct {
	term  string // empty: it has ended
	lives int    // how often it was started
	view  int    // how many happenings its store has
	told  int    // how many its handlers were told
	lists uint64 // how often it has listed all pods

	standby bool // it has not been elected yet
	blank   bool // it has not listed pods yet
	watched watched

	leaderships *leaderships
	barriers    *barriers
	expiring    *expire
	holding     map[string]map[heldAt]time.Time             // what it remembers of holds
	keeping     map[string]map[allocator.Identity]time.Time // and of what is kept for identities that will not come back
	reached     map[string]uint64
	nodes       map[string]*corev1.Node // as its watch has shown them
	ready       view.ReadySpans

	pending *operation
}

// operation is a job that has decided to write, and not written yet.
type operation struct {
	job, pool string
	at        *world // what it has read
	view      int    // what of the log it knew
	admission admission
	bind      *latebind.Binding
}

// start returns a leader that was just elected. Its view may be an old one.
func start(name string, lives, seen int) *leader {
	l := &leader{
		term: fmt.Sprintf("%s-%d", name, lives), lives: lives, view: seen, told: seen, lists: 1,
		leaderships: newLeaderships(ledger.Term(fmt.Sprintf("%s-%d", name, lives)), decodeOnce),
		barriers:    &barriers{},
		expiring:    &expire{},
		holding:     map[string]map[heldAt]time.Time{}, keeping: map[string]map[allocator.Identity]time.Time{},
		reached: map[string]uint64{}, nodes: map[string]*corev1.Node{}, ready: view.ReadySpans{},
	}
	l.leaderships.noteTold(revisionAt(seen))
	l.watched.listsPods(1, true)
	return l
}

// nobodyLeads is the place of a leader that has ended.
func nobodyLeads(lives int) *leader {
	return &leader{lives: lives, leaderships: newLeaderships("", decodeOnce), barriers: &barriers{}, expiring: &expire{}}
}

func (l *leader) clone() *leader {
	c := *l
	c.leaderships = cloneLeaderships(l.leaderships)
	c.barriers = &barriers{byPool: maps.Clone(l.barriers.byPool), admitted: maps.Clone(l.barriers.admitted), count: l.barriers.count}
	c.expiring = &expire{}
	for pool, sights := range l.expiring.first.byPool {
		own := map[reservedAddress]*watchedReservation{}
		for token, s := range sights {
			copied := *s
			own[token] = &copied
		}
		c.expiring.first.set(pool, own)
	}
	c.holding, c.keeping, c.reached = maps.Clone(l.holding), maps.Clone(l.keeping), maps.Clone(l.reached)
	c.nodes, c.ready = maps.Clone(l.nodes), maps.Clone(l.ready)
	return &c
}

func cloneLeaderships(t *leaderships) *leaderships {
	c := newLeaderships(t.term, t.decode)
	c.mostHeld = t.mostHeld
	c.upTo, c.graces = t.upTo, maps.Clone(t.graces)
	for pool, tn := range t.byPool {
		own := &leadership{uid: tn.uid, before: tn.before, begun: tn.begun, baseline: tn.baseline, inherited: tn.inherited, lists: tn.lists}
		own.holders, own.unseen = maps.Clone(tn.holders), maps.Clone(tn.unseen)
		own.ends, own.appeared = maps.Clone(tn.ends), maps.Clone(tn.appeared)
		c.byPool[pool] = own
	}
	return c
}

// decodeOnce is ledger.Read for the model, in which versions are never changed and many worlds
// share one.
func decodeOnce(pool *crdv1.SpiderIPPool) (*ledger.State, error) {
	decoded.Lock()
	defer decoded.Unlock()
	if s, ok := decoded.states[pool]; ok {
		return s, nil
	}
	s, err := ledger.Read(pool)
	if err == nil {
		if len(decoded.states) > 1<<14 {
			clear(decoded.states)
		}
		decoded.states[pool] = s
	}
	return s, err
}

var decoded = struct {
	sync.Mutex
	states map[*crdv1.SpiderIPPool]*ledger.State
}{states: map[*crdv1.SpiderIPPool]*ledger.State{}}

// turn is something that runs: it decides by what it knows and writes to now.
type turn struct {
	now   *world
	seen  *world // the pools in its cache
	reads *world // what it reads past every cache
	l     *leader
	view  int  // what of the log it knows
	trap  bool // nothing is written: what would be is to be told
	limit int  // writes until it dies
	lost  bool // it dies before the answer to the last of them

	mu     sync.Mutex
	writes int  // that were made, or would have been
	ousted bool // leadership was lost
}

func (s *turn) ctx() context.Context { return log.IntoContext(context.Background(), logr.Discard()) }

// run lets a leader do one job as far as its first write.
func (s *turn) run(job, pool string) {
	r := reconcile.Request{NamespacedName: types.NamespacedName{Name: pool}}
	var do func(context.Context, reconcile.Request) (reconcile.Result, error)
	silent := &events{view.Recorder{EventRecorder: silence{}}}
	onLost := func(error) { s.ousted = true }
	switch job {
	case "tend":
		a := &addresses{
			ledger: s, pools: s, claims: s, identity: modelIdentity, nodes: s, endpoints: s, leaderships: s.l.leaderships,
			history:   &history{api: reader{s}, claims: s, listed: s.l.reached},
			conflicts: &conflicts{client: writer{turn: s}, api: reader{s}, claims: s, events: silent},
			events:    silent, onLeadershipLost: onLost, freed: func(*view.Pod) {},
		}
		do = a.Reconcile
	case "expire":
		e := s.l.expiring
		e.ledger, e.pools, e.claims, e.api, e.leaderships, e.onLeadershipLost, e.now = s, s, s, reader{s}, s.l.leaderships, onLost, s.clock
		e.grace, e.arrivals = tick*9/10, s.l.arrivals(s.now.s)
		do = e.Reconcile
	case "holds":
		h := &holds{ledger: s, pools: s, claims: s, api: reader{s}, leaderships: s.l.leaderships, nodes: s, onLeadershipLost: onLost, now: s.clock}
		h.first.byPool = s.l.holding
		do = h.Reconcile
	case "lost":
		lost := &lostNodes{client: writer{turn: s}, api: reader{s}, claims: s, nodes: s}
		do = func(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
			for _, p := range s.Claimants(pool) {
				if _, err := lost.Reconcile(ctx, keyOf(p)); err != nil {
					return reconcile.Result{}, err
				}
			}
			return reconcile.Result{}, nil
		}
	case "retained":
		k := &retained{
			ledger: s, pools: s, claims: s, reservedRanges: none, api: reader{s}, mapper: mapper{}, leaderships: s.l.leaderships, grace: tick * 9 / 10,
			onLeadershipLost: onLost, now: s.clock,
		}
		k.first.byPool = s.l.keeping
		do = k.Reconcile
	case "judge":
		j := &readiness{
			client: writer{turn: s}, api: reader{s}, ledger: s, pools: s, claims: s, leaderships: s.l.leaderships, onLeadershipLost: onLost, identity: modelIdentity,
			podLists: &podLister{api: reader{s}}, barriers: s.l.barriers, events: silent,
		}
		do = j.Reconcile
	default:
		panic(job)
	}
	_, _ = do(s.ctx(), r) // an error is tried again, as the queue would
}

// clock is what time it was when the job decided.
func (s *turn) clock() time.Time { return s.reads.clock }

// notices tells the handlers of a leader what its store has. Those of a standby are not there yet.
func (l *leader) notices(w *world) {
	h := ends{leaderships: l.leaderships, claims: at{revisionAt(l.told)}, queue: deaf{}}
	for ; l.told < l.view && !l.standby; l.told++ {
		h.claims = at{revisionAt(l.told + 1)}
		w.tell(h, l.told)
	}
	l.told = l.view
	if w.s.remembers && !w.s.lags {
		l.watched.hears(w, l.view)
	}
}

// tell tells a handler what happened after the first i happenings.
func (w *world) tell(h cache.ResourceEventHandler, i int) {
	happened := w.log[i]
	o, there := w.viewAt(i)[happened.pod.Name]
	switch {
	case happened.gone:
		h.OnDelete(happened.pod)
	case there:
		h.OnUpdate(o, happened.pod)
	default:
		h.OnAdd(happened.pod, false)
	}
}

// relists takes a leader's store to the end of the log by a list: what came and went in between
// nobody tells.
func (l *leader) relists(w *world) {
	before, after := w.viewAt(l.view), w.viewAt(len(w.log))
	l.view, l.told = len(w.log), len(w.log)
	if !w.s.longLists {
		l.lists++
	}
	if w.s.remembers {
		l.watched.listsPods(l.lists, true)
		l.watched.hearsAll(before, after, l.view)
	}
	if l.standby {
		return
	}
	tellList(ends{leaderships: l.leaderships, claims: at{w.revision()}, queue: deaf{}}, before, after)
	l.leaderships.noteTold(w.revision())
}

// tellList tells a handler of a list of all pods, beside what the store had before.
func tellList(h cache.ResourceEventHandler, before, after map[string]*view.Pod) {
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, ok := after[name]; !ok {
			h.OnDelete(cache.DeletedFinalStateUnknown{Key: modelNamespace + "/" + name, Obj: before[name]})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if o, ok := before[name]; ok {
			h.OnUpdate(o, after[name])
			continue
		}
		h.OnAdd(after[name], false)
	}
}

// seesNodes takes a leader's view of the nodes to what they are.
func (l *leader) seesNodes(w *world) {
	for name := range l.nodes {
		if _, ok := w.nodes[name]; !ok {
			delete(l.ready, name)
		}
	}
	l.nodes = maps.Clone(w.nodes)
	for _, node := range w.nodes {
		l.ready.See(view.NewNode(node), w.clock)
	}
}

// Ready, NotReadyFor, GoneOrOutOfService, Shows, Live, Get, Carrier, Claimants, Pools, Revision,
// Received, Lists, Listed, Since and Of are what a leader knows from its watches.

func (s *turn) Ready(node string) (time.Time, time.Duration) {
	return s.l.ready.Of(node, s.clock())
}

func (s *turn) NotReadyFor(need time.Duration, born time.Time) (string, bool) {
	for _, name := range slices.Sorted(maps.Keys(s.l.nodes)) {
		n := s.l.nodes[name]
		if _, lasts := s.Ready(name); lasts < need && !view.OutOfService(n) && !n.CreationTimestamp.After(born) {
			return name, true
		}
	}
	return "", false
}

func (s *turn) GoneOrOutOfService(node string) bool {
	n, ok := s.l.nodes[node]
	return !ok || view.OutOfService(n)
}

func (s *turn) Shows(node string) bool {
	_, ok := s.l.nodes[node]
	return ok
}

func (s *turn) pods() []*view.Pod {
	all := s.now.viewAt(s.view)
	list := make([]*view.Pod, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, all[name])
	}
	return list
}

func (s *turn) Live(a netip.Addr) []*view.Pod {
	return slices.DeleteFunc(s.pods(), func(p *view.Pod) bool { return p.Finished || !carries(p, "", a) })
}

func (s *turn) Get(key string) (*view.Pod, bool) {
	for _, p := range s.pods() {
		if p.String() == key {
			return p, true
		}
	}
	return nil, false
}

func (s *turn) Carrier(pool string, a netip.Addr, r allocator.Reservation) (*view.Pod, bool) {
	var carrier *view.Pod
	for _, p := range s.pods() {
		if p.Token != string(r.Token) || !p.MayCarry(r) || !carries(p, pool, a) {
			continue
		}
		if p.Live() {
			return p, true
		}
		carrier = p
	}
	return carrier, carrier != nil
}

func (s *turn) Claimants(pool string) []*view.Pod {
	return slices.DeleteFunc(s.pods(), func(p *view.Pod) bool { return p.Finished || !carries(p, pool, netip.Addr{}) })
}

func (s *turn) Pools() []string {
	names := map[string]bool{}
	for _, p := range s.pods() {
		for _, c := range p.Claims {
			names[c.Pool] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// carries reports whether a pod claims an address of a pool; the zero values stand for any.
func carries(p *view.Pod, pool string, a netip.Addr) bool {
	for _, c := range p.Claims {
		if (pool == "" || c.Pool == pool) && (!a.IsValid() || c.Address == a) {
			return true
		}
	}
	return false
}

func (s *turn) Revision() uint64 { return revisionAt(s.view) }

func (s *turn) Received() (revision uint64) {
	if listed := s.l.watched.listed; s.now.s.remembers && s.view == listed { // nothing has come since
		for _, p := range s.now.viewAt(listed) {
			revision = max(revision, p.Revision)
		}
		return revision
	}
	return revisionAt(s.view)
}

func (s *turn) Lists() uint64 { return s.l.lists }

func (s *turn) Listed() (uint64, bool) { return s.l.lists, s.l.watched.lists.answered }

func (s *turn) Since(context.Context, string) (view.Gap, error) {
	g := view.Gap{Through: s.reads.revision(), Tokens: map[string]bool{}}
	for _, h := range s.reads.log[min(s.view, len(s.reads.log)):] {
		g.Tokens[h.pod.Token] = true
	}
	return g, nil
}

func (s *turn) Of(_ context.Context, pool string) (map[netip.Addr][]*view.Pod, error) {
	had := map[netip.Addr][]*view.Pod{}
	for a, p := range s.reads.endpoints {
		if carries(p, pool, a) {
			had[a] = []*view.Pod{p}
		}
	}
	return had, nil
}
