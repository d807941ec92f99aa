package lifecycle

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Applier makes changes of a pool durable: a *ledger.Ledger.
type Applier interface {
	Apply(ctx context.Context, pool string, change ledger.Change) error
}

// leadership is what this leader knows of one pool since it took the pool over.
//
// Why a leader takes pools over: the end of a pod proves that its address is unused only if the
// address still belongs to that pod. The record does not say which pod has a settled address. The
// leader knows it as long as nobody else settles or releases, and the term in the record keeps
// others out. What was settled before becomes known once this leader's view has reached the mark
// that the record had then: each settled address has a live pod in view, or nobody saw its pod end.
//
// All this applies to retained addresses in use as well.
type leadership struct {
	uid       types.UID
	before    *allocator.Record // as taken over; nil before that and once there is a baseline
	begun     bool
	inherited map[allocator.Token]bool // reservations that existed then: their pods may have come and gone unseen
	lists     uint64                   // how often all pods had been listed then; 0 if a list was in progress
	baseline  uint64                   // revision of the view when it had reached the mark of before; 0 until then

	holders  map[netip.Addr]types.UID          // settled address -> its pod
	unseen   map[netip.Addr]orphanedAllocation // settled at the baseline, without a live pod
	ends     map[podAddress]end                // ends of pods that were seen and not handled yet
	appeared map[podAddress]*view.Pod          // live pods that came into view: the record must have their addresses
}

// orphanedAllocation is a settled address without a pod: its pod ended while nobody led.
type orphanedAllocation struct {
	pod  *view.Pod // as far as it is known
	hold allocator.Hold
}

// podAddress is the key of an address that a pod carries: two pods may claim one address.
type podAddress struct {
	uid     types.UID
	address netip.Addr
}

// end is the end of a pod as this leader saw it.
type end struct {
	pod      *view.Pod // as last seen
	revision uint64    // of the event
	vanished bool      // no kubelet confirmed it
	noticed  time.Time
}

// decode is ledger.Read, or one that remembers: many jobs look at one version of a pool.
type decode func(*crdv1.SpiderIPPool) (*ledger.State, error)

// leaderships is what several jobs of one leader share about its pools. Safe for concurrent use.
type leaderships struct {
	term     ledger.Term
	decode   decode
	mostHeld int // holds of one pool; only tests change it, before all else

	mu     sync.Mutex
	byPool map[string]*leadership      // pool -> what is known of it
	upTo   uint64                      // the highest revision of a pod that event handlers have seen
	graces map[types.UID]time.Duration // pod -> its longest termination grace, where it was shortened later
}

func newLeaderships(term ledger.Term, d decode) *leaderships {
	return &leaderships{term: term, decode: d, mostHeld: mostHeld, byPool: map[string]*leadership{}, graces: map[types.UID]time.Duration{}}
}

// of returns whether a pool was taken over, its record at that time, and the baseline. A pool with
// another UID starts over.
func (ls *leaderships) of(pool *crdv1.SpiderIPPool) (begun bool, before *allocator.Record, baseline uint64) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.getLocked(pool.Name)
	if l.uid != pool.UID {
		l.uid, l.begun, l.before, l.baseline = pool.UID, false, nil, 0
		clear(l.holders)
		clear(l.unseen)
	}
	return l.begun, l.before, l.baseline
}

func (ls *leaderships) getLocked(pool string) *leadership {
	l, ok := ls.byPool[pool]
	if !ok {
		l = &leadership{holders: map[netip.Addr]types.UID{}, ends: map[podAddress]end{}, appeared: map[podAddress]*view.Pod{}}
		ls.byPool[pool] = l
	}
	return l
}

// begin notes that the pool was taken over, its record at that time, and how often all pods had
// been listed by then; 0 if a list was in progress.
func (ls *leaderships) begin(pool *crdv1.SpiderIPPool, before *allocator.Record, lists uint64) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l := ls.getLocked(pool.Name); l.uid == pool.UID {
		l.begun, l.before, l.lists = true, before, lists
		l.inherited = map[allocator.Token]bool{}
		for _, r := range before.Awaited() {
			l.inherited[r.Token] = true
		}
	}
}

// watched reports whether the view has watched the pods without a gap since a reservation was made:
// it was made after this leader took the pool over, and pods were not listed again since.
func (ls *leaderships) watched(pool string, token allocator.Token, lists uint64) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.getLocked(pool)
	return l.lists == lists && !l.inherited[token]
}

// see sets the baseline: the view had reached the mark at this revision, and showed which pods have
// the settled addresses and which of these have none.
func (ls *leaderships) see(pool *crdv1.SpiderIPPool, revision uint64, holders map[netip.Addr]types.UID, unseen map[netip.Addr]orphanedAllocation) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l := ls.getLocked(pool.Name); l.uid == pool.UID && l.begun && l.baseline == 0 {
		l.baseline, l.before = revision, nil
		maps.Copy(l.holders, holders)
		l.unseen = unseen
	}
}

// forget drops a pool that is gone.
func (ls *leaderships) forget(pool string) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	delete(ls.byPool, pool)
}

// noteEnd records the end of a pod for all its addresses.
func (ls *leaderships) noteEnd(e end) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, c := range e.pod.Claims {
		l, key := ls.getLocked(c.Pool), podAddress{e.pod.UID, c.Address}
		l.ends[key] = e
		delete(l.appeared, key)
	}
}

// noteLive records that a live pod came into view: a new one, or one that had finished by somebody
// else's word and is live after all.
func (ls *leaderships) noteLive(p *view.Pod) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, c := range p.Claims {
		l, key := ls.getLocked(c.Pool), podAddress{p.UID, c.Address}
		l.appeared[key] = p
		delete(l.ends, key)
	}
}

// noteTold notes that handlers were told of all that happened to pods until a revision.
func (ls *leaderships) noteTold(revision uint64) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.upTo = max(ls.upTo, revision)
}

// told returns the highest revision that handlers were told.
func (ls *leaderships) told() uint64 {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.upTo
}

// knowsEnd reports whether the end of a pod that carried a token was seen and not acted upon.
func (ls *leaderships) knowsEnd(pool string, token allocator.Token) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, e := range ls.getLocked(pool).ends {
		if e.pod.Token == string(token) {
			return true
		}
	}
	return false
}

// noteGrace remembers a termination grace that was shortened.
func (ls *leaderships) noteGrace(pod types.UID, grace time.Duration) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.graces[pod] = max(ls.graces[pod], grace)
}

// takeGrace returns the longest that was remembered of a pod, and forgets it.
func (ls *leaderships) takeGrace(pod types.UID) time.Duration {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	grace := ls.graces[pod]
	delete(ls.graces, pod)
	return grace
}

// observations are what a leader saw and has not acted upon. They are copies.
type observations struct {
	ends     map[podAddress]end
	appeared map[podAddress]*view.Pod
	unseen   map[netip.Addr]orphanedAllocation
}

// seen returns what is to be acted upon: the ends after the baseline, the live pods that came into
// view, and what was nobody's at the baseline. Ends before it prove nothing and are dropped.
func (ls *leaderships) seen(pool string) observations {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.getLocked(pool)
	if l.baseline == 0 {
		return observations{}
	}
	maps.DeleteFunc(l.ends, func(_ podAddress, e end) bool { return e.revision <= l.baseline })
	return observations{ends: maps.Clone(l.ends), appeared: maps.Clone(l.appeared), unseen: maps.Clone(l.unseen)}
}

// holder returns the pod that has a settled address, as far as it is known.
func (ls *leaderships) holder(pool string, a netip.Addr) types.UID {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.getLocked(pool).holders[a]
}

// hold notes which pods have settled addresses; an empty UID means that the address is free.
func (ls *leaderships) hold(pool string, holders map[netip.Addr]types.UID) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.getLocked(pool)
	for a, uid := range holders {
		if uid == "" {
			delete(l.holders, a)
			continue
		}
		l.holders[a] = uid
	}
}

// drop forgets what was handled, unless it was replaced by something newer.
func (ls *leaderships) drop(pool string, over observations) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.getLocked(pool)
	for key, e := range over.ends {
		if l.ends[key] == e {
			delete(l.ends, key)
		}
	}
	for key, p := range over.appeared {
		if l.appeared[key] == p {
			delete(l.appeared, key)
		}
	}
	for a := range over.unseen {
		delete(l.unseen, a)
	}
}

// Term implements latebind.Leader.
func (ls *leaderships) Term() ledger.Term { return ls.term }

// TookOver implements latebind.Leader.
func (ls *leaderships) TookOver(pool *crdv1.SpiderIPPool) bool {
	begun, _, _ := ls.of(pool)
	return begun
}

// Decode implements latebind.Leader.
func (ls *leaderships) Decode(pool *crdv1.SpiderIPPool) (*ledger.State, error) {
	return ls.decode(pool)
}

// fence wraps do so that it runs only while this leader has the pool.
func (ls *leaderships) fence(uid types.UID, do func(*ledger.Tx) error) func(*ledger.Tx) error {
	return ledger.Fence(ls.term, uid, do)
}

// stopOnLostLeadership stops leading if err says that another leader took over, and returns err.
func stopOnLostLeadership(err error, lost func(error)) error {
	if errors.Is(err, ledger.ErrLeadershipLost) {
		lost(err)
		return reconcile.TerminalError(err)
	}
	return err
}
