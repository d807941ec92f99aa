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
)

// leader is the memory of one process that believes to lead.
type leader struct {
	term  string // empty: it has ended
	lives int    // how often it was started
	view  int    // how many happenings its store has
	told  int    // how many its handlers were told
	lists uint64 // how often it has listed all pods

	tenures  *tenures
	expiring *expire
	holding  map[string]map[heldAt]time.Time             // what it remembers of holds
	keeping  map[string]map[allocator.Identity]time.Time // and of what is kept for identities that will not come back
	reached  map[string]uint64
	nodes    map[string]*corev1.Node // as its watch has shown them
	ready    map[string]stretch

	pending *operation
}

// operation is a job that has decided to write, and not written yet.
type operation struct {
	job, pool string
	at        *world // what it has read
	view      int    // what of the log it knew
	admission admission
	bind      *binding
}

// start returns a leader that was just elected. Its view may be an old one.
func start(name string, lives, view int) *leader {
	l := &leader{
		term: fmt.Sprintf("%s-%d", name, lives), lives: lives, view: view, told: view, lists: 1,
		tenures:  newTenures(fmt.Sprintf("%s-%d", name, lives)),
		expiring: &expire{},
		holding:  map[string]map[heldAt]time.Time{}, keeping: map[string]map[allocator.Identity]time.Time{},
		reached: map[string]uint64{}, nodes: map[string]*corev1.Node{}, ready: map[string]stretch{},
	}
	l.tenures.noteTold(revisionAt(view))
	return l
}

// nobodyLeads is the place of a leader that has ended.
func nobodyLeads(lives int) *leader {
	return &leader{lives: lives, tenures: newTenures(""), expiring: &expire{}}
}

func (l *leader) clone() *leader {
	c := *l
	c.tenures = cloneTenures(l.tenures)
	c.expiring = &expire{}
	for pool, sights := range l.expiring.first.byPool {
		own := map[allocator.Token]*sight{}
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

func cloneTenures(t *tenures) *tenures {
	c := newTenures(t.term)
	c.upTo, c.graces = t.upTo, maps.Clone(t.graces)
	c.made, c.count = maps.Clone(t.made), t.count
	for pool, tn := range t.byPool {
		own := &tenure{uid: tn.uid, before: tn.before, begun: tn.begun, baseline: tn.baseline, headcount: tn.headcount, read: tn.read, inherited: tn.inherited}
		own.holders, own.unseen = maps.Clone(tn.holders), maps.Clone(tn.unseen)
		own.ends, own.appeared = maps.Clone(tn.ends), maps.Clone(tn.appeared)
		c.byPool[pool] = own
	}
	return c
}

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

	mu      sync.Mutex
	writes  int // that were made, or would have been
	deposed bool
}

func (s *turn) ctx() context.Context { return log.IntoContext(context.Background(), logr.Discard()) }

// run lets a leader do one job as far as its first write.
func (s *turn) run(job, pool string) {
	r := reconcile.Request{NamespacedName: types.NamespacedName{Name: pool}}
	var do func(context.Context, reconcile.Request) (reconcile.Result, error)
	silent := &events{silence{}}
	depose := func(error) { s.deposed = true }
	switch job {
	case "tend":
		a := &addresses{
			ledger: s, pools: s, claims: s, identity: modelIdentity, endpoints: s, tenures: s.l.tenures,
			history:   &history{api: reader{s}, claims: s, listed: s.l.reached},
			conflicts: &conflicts{client: writer{turn: s}, api: reader{s}, claims: s, events: silent},
			events:    silent, depose: depose, freed: func(*Pod) {},
		}
		do = a.Reconcile
	case "expire":
		e := s.l.expiring
		e.ledger, e.pools, e.claims, e.api, e.tenures, e.depose, e.now = s, s, s, reader{s}, s.l.tenures, depose, s.clock
		e.grace = tick * 9 / 10
		do = e.Reconcile
	case "holds":
		h := &holds{ledger: s, pools: s, claims: s, api: reader{s}, tenures: s.l.tenures, nodes: s, depose: depose, now: s.clock}
		h.first.byPool = s.l.holding
		do = h.Reconcile
	case "retained":
		k := &retained{
			ledger: s, pools: s, claims: s, never: none, api: reader{s}, mapper: mapper{}, tenures: s.l.tenures, grace: tick * 9 / 10,
			depose: depose, now: s.clock,
		}
		k.first.byPool = s.l.keeping
		do = k.Reconcile
	case "judge":
		j := &readiness{
			client: writer{turn: s}, api: reader{s}, ledger: s, pools: s, claims: s, tenures: s.l.tenures, depose: depose, identity: modelIdentity,
			census: &census{api: reader{s}},
		}
		do = j.Reconcile
	default:
		panic(job)
	}
	_, _ = do(s.ctx(), r) // an error is tried again, as the queue would
}

// clock is what time it was when the job decided.
func (s *turn) clock() time.Time { return s.reads.clock }

// notices tells the handlers of a leader what its store has.
func (l *leader) notices(w *world) {
	h := ends{tenures: l.tenures, claims: at{revisionAt(l.told)}, queue: deaf{}}
	for ; l.told < l.view; l.told++ {
		before := w.viewAt(l.told)
		h.claims = at{revisionAt(l.told + 1)}
		happened := w.log[l.told]
		o, there := before[happened.pod.Name]
		switch {
		case happened.gone:
			h.OnDelete(happened.pod)
		case there:
			h.OnUpdate(o, happened.pod)
		default:
			h.OnAdd(happened.pod, false)
		}
	}
}

// relists takes a leader's store to the end of the log by a list: what came and went in between nobody tells.
func (l *leader) relists(w *world) {
	before, after := w.viewAt(l.view), w.viewAt(len(w.log))
	l.view, l.told = len(w.log), len(w.log)
	l.lists++
	h := ends{tenures: l.tenures, claims: at{w.revision()}, queue: deaf{}}
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
	l.tenures.noteTold(w.revision())
}

// seesNodes takes a leader's view of the nodes to what they are.
func (l *leader) seesNodes(w *world) {
	n := &Nodes{now: func() time.Time { return w.clock }, ready: l.ready}
	for name := range l.nodes {
		if _, ok := w.nodes[name]; !ok {
			delete(l.ready, name)
		}
	}
	l.nodes = maps.Clone(w.nodes)
	for _, node := range w.nodes {
		kept, err := nodeOf(node)
		if err != nil {
			panic(err)
		}
		n.note(kept)
	}
}

// Ready, Weak, Off, Live, Get, Carrier, Claimants, Pools, Revision, Received, Lists, Listing, Since and Of are what a leader knows from its watches.

func (s *turn) Ready(node string) (time.Time, time.Duration) {
	n := &Nodes{now: s.clock, ready: s.l.ready}
	return n.Ready(node)
}

func (s *turn) Weak(need time.Duration, born time.Time) (string, bool) {
	for _, name := range slices.Sorted(maps.Keys(s.l.nodes)) {
		n := s.l.nodes[name]
		if _, lasts := s.Ready(name); lasts < need && !outOfService(n) && !n.CreationTimestamp.After(born) {
			return name, true
		}
	}
	return "", false
}

func (s *turn) Off(node string) bool {
	n, ok := s.l.nodes[node]
	return !ok || outOfService(n)
}

func (s *turn) pods() []*Pod {
	all := s.now.viewAt(s.view)
	list := make([]*Pod, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, all[name])
	}
	return list
}

func (s *turn) Live(a netip.Addr) []*Pod {
	return slices.DeleteFunc(s.pods(), func(p *Pod) bool { return p.Finished || !carries(p, "", a) })
}

func (s *turn) Get(key string) (*Pod, bool) {
	for _, p := range s.pods() {
		if p.String() == key {
			return p, true
		}
	}
	return nil, false
}

func (s *turn) Carrier(pool string, a netip.Addr, r allocator.Reservation) (*Pod, bool) {
	var carrier *Pod
	for _, p := range s.pods() {
		if p.Token != string(r.Token) || !meant(r, p) || !carries(p, pool, a) {
			continue
		}
		if p.Live() {
			return p, true
		}
		carrier = p
	}
	return carrier, carrier != nil
}

func (s *turn) Claimants(pool string) []*Pod {
	return slices.DeleteFunc(s.pods(), func(p *Pod) bool { return p.Finished || !carries(p, pool, netip.Addr{}) })
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
func carries(p *Pod, pool string, a netip.Addr) bool {
	for _, c := range p.Claims {
		if (pool == "" || c.Pool == pool) && (!a.IsValid() || c.Address == a) {
			return true
		}
	}
	return false
}

func (s *turn) Revision() uint64 { return revisionAt(s.view) }

func (s *turn) Received() uint64 { return revisionAt(s.view) }

func (s *turn) Lists() uint64 { return s.l.lists }

func (s *turn) Listing() bool { return false } // a list is one step

func (s *turn) Since(context.Context, string) (Gap, error) {
	g := Gap{through: s.reads.revision(), tokens: map[string]bool{}}
	for _, h := range s.reads.log[min(s.view, len(s.reads.log)):] {
		g.tokens[h.pod.Token] = true
	}
	return g, nil
}

func (s *turn) Of(_ context.Context, pool string) (map[netip.Addr][]*Pod, error) {
	had := map[netip.Addr][]*Pod{}
	for a, p := range s.reads.endpoints {
		if carries(p, pool, a) {
			had[a] = []*Pod{p}
		}
	}
	return had, nil
}
