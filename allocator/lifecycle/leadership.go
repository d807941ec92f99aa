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

// leadership is what this leader knows of one pool since it took it over.
//
// Why a leader takes pools over: the end of a pod proves that its address is
// unused only if the address is still that pod's. The record does not say whose
// a settled address is; the leader knows it, as long as nobody else settles or
// releases. The term in the record rules others out. What was settled before is
// known once this leader's view has reached the mark of that moment: then every
// settled address has its live pod in view, or the end of its pod was not seen.
//
// What is said of settled addresses here is said of retained ones in use too.
type leadership struct {
	uid       types.UID
	before    *allocator.Record // as taken over; nil before, and once the baseline stands
	begun     bool
	inherited map[allocator.Token]bool // reservations that stood then: their pods may have come and gone unseen
	baseline  uint64                   // revision of the view when it had reached the mark of before; 0 until then
	barrier   *podListBarrier          // nil where there was none since the pool was Ready

	holders  map[netip.Addr]types.UID          // settled address -> its pod
	unseen   map[netip.Addr]orphanedAllocation // settled at the baseline, and nobody's
	ends     map[podAddress]end                // that were seen of pods and not acted upon
	appeared map[podAddress]*view.Pod          // live pods that came into view: the record must know them
}

// orphanedAllocation is an address whose pod ended while nobody led.
type orphanedAllocation struct {
	pod  *view.Pod // as far as it is known
	hold allocator.Hold
}

// podAddress is an address as one pod carries it.
type podAddress struct {
	uid     types.UID
	address netip.Addr
}

// podListBarrier is what a census has said for a pool.
type podListBarrier struct {
	mark   uint64             // revision that the view must have reached
	gained allocator.Space    // addresses that the list was made for
	pools  map[types.UID]bool // of overlapping subnets, that were there before
	made   uint64             // how many times addresses had been put in service before
}

// end is a pod's end as this leader saw it.
type end struct {
	pod      *view.Pod // as last seen
	revision uint64    // of the event
	vanished bool      // no kubelet confirmed it
	noticed  time.Time
}

// decode is ledger.Read, or one that remembers: many jobs look at one version of a
// pool.
type decode func(*crdv1.SpiderIPPool) (*ledger.State, error)

// leaderships are the pools of one leader. Safe for concurrent use.
type leaderships struct {
	term   ledger.Term
	decode decode

	mu     sync.Mutex
	byPool map[string]*leadership      // pool -> tenure
	upTo   uint64                      // the highest revision of a pod that handlers were told
	graces map[types.UID]time.Duration // pod -> the longest it was told to end within, where that was shortened
	made   map[types.UID]uint64        // pool that was made Ready -> count of these then
	count  uint64
}

func newLeaderships(term ledger.Term, d decode) *leaderships {
	return &leaderships{term: term, decode: d, byPool: map[string]*leadership{}, graces: map[types.UID]time.Duration{}, made: map[types.UID]uint64{}}
}

// of returns how far the tenure of a pool is: whether it was taken over, the
// record as it was then, and the baseline. A pool made anew begins anew.
func (t *leaderships) of(pool *crdv1.SpiderIPPool) (begun bool, before *allocator.Record, baseline uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tn := t.getLocked(pool.Name)
	if tn.uid != pool.UID {
		tn.uid, tn.begun, tn.before, tn.baseline, tn.barrier = pool.UID, false, nil, 0, nil
		clear(tn.holders)
		clear(tn.unseen)
	}
	return tn.begun, tn.before, tn.baseline
}

func (t *leaderships) getLocked(pool string) *leadership {
	tn, ok := t.byPool[pool]
	if !ok {
		tn = &leadership{holders: map[netip.Addr]types.UID{}, ends: map[podAddress]end{}, appeared: map[podAddress]*view.Pod{}}
		t.byPool[pool] = tn
	}
	return tn
}

// begin notes that the pool was taken over, and what its record said.
func (t *leaderships) begin(pool *crdv1.SpiderIPPool, before *allocator.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tn := t.getLocked(pool.Name); tn.uid == pool.UID {
		tn.begun, tn.before = true, before
		tn.inherited = map[allocator.Token]bool{}
		for _, r := range before.Awaited() {
			tn.inherited[r.Token] = true
		}
	}
}

// inherits reports whether a reservation stood already when this leader took
// the pool over.
func (t *leaderships) inherits(pool string, token allocator.Token) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.getLocked(pool).inherited[token]
}

// see notes that the view had reached the mark at revision, whose the settled
// addresses are, and which are nobody's.
func (t *leaderships) see(pool *crdv1.SpiderIPPool, revision uint64, holders map[netip.Addr]types.UID, unseen map[netip.Addr]orphanedAllocation) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tn := t.getLocked(pool.Name); tn.uid == pool.UID && tn.begun && tn.baseline == 0 {
		tn.baseline, tn.before = revision, nil
		maps.Copy(tn.holders, holders)
		tn.unseen = unseen
	}
}

// barrierOf returns the headcount for this generation of a pool; nil where there
// is none.
func (t *leaderships) barrierOf(pool *crdv1.SpiderIPPool, gained allocator.Space) *podListBarrier {
	t.mu.Lock()
	defer t.mu.Unlock()
	tn := t.getLocked(pool.Name)
	if tn.uid != pool.UID || tn.barrier == nil || gained.Minus(tn.barrier.gained).Size() > 0 {
		return nil
	}
	return tn.barrier
}

// setBarrier remembers a headcount, which nobody changes from here on; nil
// forgets it.
func (t *leaderships) setBarrier(pool *crdv1.SpiderIPPool, h *podListBarrier) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tn := t.getLocked(pool.Name); tn.uid == pool.UID {
		tn.barrier = h
	}
}

// makes notes that a pool is about to be made Ready, and may give addresses then.
func (t *leaderships) makes(pool types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count++
	t.made[pool] = t.count
}

// countMade returns how many pools were made Ready.
func (t *leaderships) countMade() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

// madeSince returns the pools that were made Ready after the first n.
func (t *leaderships) madeSince(n uint64) (pools []types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for uid, at := range t.made {
		if at > n {
			pools = append(pools, uid)
		}
	}
	return pools
}

// forget drops a pool that is gone.
func (t *leaderships) forget(pool string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byPool, pool)
}

// noteEnd records the end of a pod for all its addresses.
func (t *leaderships) noteEnd(e end) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range e.pod.Claims {
		tn, key := t.getLocked(c.Pool), podAddress{e.pod.UID, c.Address}
		tn.ends[key] = e
		delete(tn.appeared, key)
	}
}

// noteLive records that a live pod came into view: a new one, or one that had
// finished by somebody else's word and is live after all.
func (t *leaderships) noteLive(p *view.Pod) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range p.Claims {
		tn, key := t.getLocked(c.Pool), podAddress{p.UID, c.Address}
		tn.appeared[key] = p
		delete(tn.ends, key)
	}
}

// noteTold notes that handlers were told of all that happened to pods until a
// revision.
func (t *leaderships) noteTold(revision uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.upTo = max(t.upTo, revision)
}

// told returns the highest revision that handlers were told.
func (t *leaderships) told() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.upTo
}

// knowsEnd reports whether the end of a pod that carried a token was seen and not
// acted upon.
func (t *leaderships) knowsEnd(pool string, token allocator.Token) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.getLocked(pool).ends {
		if e.pod.Token == string(token) {
			return true
		}
	}
	return false
}

// noteGrace remembers a termination grace that was shortened.
func (t *leaderships) noteGrace(pod types.UID, grace time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.graces[pod] = max(t.graces[pod], grace)
}

// takeGrace returns the longest that was remembered of a pod, and forgets it.
func (t *leaderships) takeGrace(pod types.UID) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	grace := t.graces[pod]
	delete(t.graces, pod)
	return grace
}

// observations are what a leader saw and has not acted upon. They are copies.
type observations struct {
	ends     map[podAddress]end
	appeared map[podAddress]*view.Pod
	unseen   map[netip.Addr]orphanedAllocation
}

// seen returns what is to be acted upon: the ends after the baseline, the live
// pods that came into view, and what was nobody's at the baseline. Ends before
// it prove nothing and are dropped.
func (t *leaderships) seen(pool string) observations {
	t.mu.Lock()
	defer t.mu.Unlock()
	tn := t.getLocked(pool)
	if tn.baseline == 0 {
		return observations{}
	}
	maps.DeleteFunc(tn.ends, func(_ podAddress, e end) bool { return e.revision <= tn.baseline })
	return observations{ends: maps.Clone(tn.ends), appeared: maps.Clone(tn.appeared), unseen: maps.Clone(tn.unseen)}
}

// holder returns the pod that a settled address is known to be of.
func (t *leaderships) holder(pool string, a netip.Addr) types.UID {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.getLocked(pool).holders[a]
}

// hold notes whose settled addresses are; no UID means that they are free.
func (t *leaderships) hold(pool string, holders map[netip.Addr]types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tn := t.getLocked(pool)
	for a, uid := range holders {
		if uid == "" {
			delete(tn.holders, a)
			continue
		}
		tn.holders[a] = uid
	}
}

// drop forgets what was acted upon, unless something newer stands there.
func (t *leaderships) drop(pool string, over observations) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tn := t.getLocked(pool)
	for key, e := range over.ends {
		if tn.ends[key] == e {
			delete(tn.ends, key)
		}
	}
	for key, p := range over.appeared {
		if tn.appeared[key] == p {
			delete(tn.appeared, key)
		}
	}
	for a := range over.unseen {
		delete(tn.unseen, a)
	}
}

// Term implements latebind.Leader.
func (t *leaderships) Term() ledger.Term { return t.term }

// TookOver implements latebind.Leader.
func (t *leaderships) TookOver(pool *crdv1.SpiderIPPool) bool {
	begun, _, _ := t.of(pool)
	return begun
}

// Decode implements latebind.Leader.
func (t *leaderships) Decode(pool *crdv1.SpiderIPPool) (*ledger.State, error) { return t.decode(pool) }

// fence wraps do so that it runs only while this leader has the pool.
func (t *leaderships) fence(uid types.UID, do func(*ledger.Tx) error) func(*ledger.Tx) error {
	return ledger.Fence(t.term, uid, do)
}

// stopOnLostLeadership stops leading where err says that another leads, and returns err.
func stopOnLostLeadership(err error, depose func(error)) error {
	if errors.Is(err, ledger.ErrLeadershipLost) {
		depose(err)
		return reconcile.TerminalError(err)
	}
	return err
}
