package ledger

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"go4.org/netipx"

	"spidernet.io/spiderpool/allocator"
)

// Options are what a Ledger works with.
type Options struct {
	API   API
	Pools Pools
	// ReservedRanges returns the addresses that no pool may hand out (SpiderReservedIPs)
	// and a number that changes with them. Nil means none.
	ReservedRanges func() (ranges []netipx.IPRange, version uint64)
	// Synced reports whether pods and pools were all listed once; until then
	// nothing is reserved (I11). Nil means that they were.
	Synced func() bool
	// Used reports whether something in the cluster uses an address now: a live
	// pod, whoever gave it the address, or a node. Such a one is not handed out
	// (I7). It is called at each choice of an address and from many goroutines.
	// Nil means that nothing does.
	Used func(netip.Addr) bool
	// Caps bound the reservations for pods that were not seen yet.
	Caps Caps
	// OnClusterRestored is told, once, that the API server went back to an earlier state
	// (I11). From then on the ledger writes nothing: the process should end, so
	// that another lists everything again. Nil tells nobody.
	OnClusterRestored func(error)
	// Now is the clock that records are dated by; nil means time.Now.
	Now func() time.Time
	// Budget is the most bytes that a record may take; 0 means DefaultBudget.
	Budget int
	// Logger is told when the API server does not take writes. The zero value
	// tells nobody.
	Logger logr.Logger
	// Metrics counts what is written; nil counts nothing.
	Metrics *Metrics
}

// DefaultBudget leaves room for spec and metadata below etcd's 1.5 MiB.
const DefaultBudget = 1 << 20

// Ledger makes changes of pools durable. It is safe for concurrent use and
// needs no closing: it runs nothing while nobody waits for it.
type Ledger struct {
	o     Options
	void  atomic.Pointer[ClusterRestoredError] // why nothing is written any more
	voids sync.Once

	mu     sync.Mutex
	queues map[string]*queue // pool -> those who wait for it
}

// New returns a ledger that knows only what it will read.
func New(o Options) *Ledger {
	return &Ledger{o: o.complete(), queues: map[string]*queue{}}
}

// complete returns o with something in place of what is not set.
func (o Options) complete() Options {
	if o.Budget == 0 {
		o.Budget = DefaultBudget
	}
	if o.Synced == nil {
		o.Synced = func() bool { return true }
	}
	if o.ReservedRanges == nil {
		o.ReservedRanges = func() ([]netipx.IPRange, uint64) { return nil, 0 }
	}
	if o.Used == nil {
		o.Used = func(netip.Addr) bool { return false }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.OnClusterRestored == nil {
		o.OnClusterRestored = func(error) {}
	}
	return o
}

// Change is one caller's wish for one pool.
type Change struct {
	// Do edits the transaction, or returns an error and leaves it as it was.
	// It MAY be called several times, each time on what is then the newest
	// version, MUST find its own effect where an earlier write of it landed,
	// and MUST return soon. It is called from one goroutine at a time, which
	// is not the caller's.
	Do func(*Tx) error
	// Patience is how long the change may wait for others to share its write.
	// 0 means that it is written as soon as the write in flight is answered.
	Patience time.Duration
	// Grows marks a change that a record without room for it refuses.
	Grows bool

	counts bool // it keeps true what the transaction has counted
}

// Apply makes change durable in the pool. It returns nil once the API server
// has stored it, or found that there was nothing to store; an error of change
// itself, confirmed by the API server; or that of ctx, and then whether the
// change was stored is unknown.
func (l *Ledger) Apply(ctx context.Context, pool string, change Change) error {
	r := &request{ctx: ctx, change: change, due: time.Now().Add(change.Patience), done: make(chan struct{})}
	l.enqueue(pool, r) //nolint:contextcheck // a write is shared by many callers: it ends with none of them
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
	}
	select {
	case <-r.done:
		return r.err
	default:
	}
	if last := r.trouble.Load(); last != nil {
		return fmt.Errorf("writing status of pool %q: %w, after: %w", pool, context.Cause(ctx), *last)
	}
	return fmt.Errorf("writing status of pool %q: %w", pool, context.Cause(ctx))
}

// request is a change with the caller who waits for it.
type request struct {
	ctx     context.Context //nolint:containedctx // the caller's wait is what it stands for
	change  Change
	due     time.Time
	trouble atomic.Pointer[error] // the last answer of the API server that helped nobody
	err     error                 // set before done is closed
	done    chan struct{}
}

func (r *request) answer(err error) {
	r.err = err
	close(r.done)
}

// queue holds who waits for one pool. Its writer, the goroutine that runs while
// somebody waits, alone touches what stands below the blank line.
type queue struct {
	pool    string
	waiting []*request
	running bool
	wake    chan struct{} // capacity 1: somebody joined who may not want to wait

	known    *State // newest version that this process wrote or read
	mustRead bool   // a write's outcome is unknown
	recent   allocator.Recent

	freeKey   freeKey // what freeSpace was computed from
	freeSpace allocator.Space
}

func (l *Ledger) enqueue(pool string, r *request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q, ok := l.queues[pool]
	if !ok {
		q = &queue{pool: pool, wake: make(chan struct{}, 1)}
		l.queues[pool] = q
	}
	q.waiting = append(q.waiting, r)
	if !q.running {
		q.running = true
		go l.run(q)
		return
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// run is the writer of one pool: it ends when nobody waits.
func (l *Ledger) run(q *queue) {
	for {
		batch, wait := l.take(q)
		switch {
		case len(batch) > 0:
			l.commit(q, batch)
		case wait == 0:
			return
		default:
			timer := time.NewTimer(wait)
			select {
			case <-q.wake:
			case <-timer.C:
			}
			timer.Stop()
		}
	}
}

// take returns all who wait, if one of them has waited long enough, else how
// long the first of them will still wait; nothing and 0 if nobody waits.
func (l *Ledger) take(q *queue) ([]*request, time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(q.waiting) == 0 {
		q.running = false
		if _, ok := l.o.Pools.Pool(q.pool); !ok && !q.mustRead { // gone, or not shown yet: nothing is lost that a read does not bring back
			delete(l.queues, q.pool)
		}
		return nil, 0
	}
	first := slices.MinFunc(q.waiting, func(a, b *request) int { return a.due.Compare(b.due) })
	if wait := time.Until(first.due); wait > 0 {
		return nil, wait
	}
	batch := q.waiting
	q.waiting = nil
	return batch, 0
}

// watched returns what the watch has shown of a pool, or known where that is
// newer; nil if there is neither.
func watched(pools Pools, pool string, known *State) (*State, error) {
	object, ok := pools.Pool(pool)
	if !ok || known != nil && object.ResourceVersion == known.Pool.ResourceVersion {
		return known, nil
	}
	revision, err := parseRevision(object)
	if err != nil || known != nil && revision < known.Revision {
		return known, err
	}
	return Read(object)
}

// Waiting returns how many changes of a pool wait for the write in flight.
func (l *Ledger) Waiting(pool string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if q, ok := l.queues[pool]; ok {
		return len(q.waiting)
	}
	return 0
}
