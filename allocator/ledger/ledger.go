package ledger

import (
	"context"
	"net/netip"
	"time"

	"github.com/go-logr/logr"
	"go4.org/netipx"
)

// Options are what a Ledger works with.
type Options struct {
	API   API
	Pools Pools
	// Decoder reads what Pools shows; nil reads it each time.
	Decoder *Decoder
	// ReservedRanges returns the addresses that no pool may hand out (SpiderReservedIPs) and a
	// number that changes with them. Nil means none.
	ReservedRanges func() (ranges []netipx.IPRange, version uint64)
	// Synced reports whether pods and pools were all listed once; until then nothing is reserved
	// (I11). Nil means that they were.
	Synced func() bool
	// Used reports whether something in the cluster uses an address now: a live pod, whoever gave
	// it the address, or a node. Such a one is not handed out (I7). It is called at each choice of
	// an address and from many goroutines. Nil means that nothing does.
	Used func(netip.Addr) bool
	// Caps bound the reservations for pods that were not seen yet.
	Caps Caps
	// OnClusterRestored is told, once, that the API server went back to an earlier state (I11).
	// From then on the ledger writes nothing: the process should end, so that another lists
	// everything again. Nil tells nobody.
	OnClusterRestored func(error)
	// Now is the clock that records are dated by; nil means time.Now.
	Now func() time.Time
	// Budget is the most bytes that a record may take; 0 means DefaultBudget.
	Budget int
	// Logger is told when the API server does not take writes. The zero value tells nobody.
	Logger logr.Logger
	// Metrics counts what is written; nil counts nothing.
	Metrics *Metrics
}

// DefaultBudget leaves room for spec and metadata below etcd's 1.5 MiB.
const DefaultBudget = 1 << 20

// Ledger makes changes of pools durable. It is safe for concurrent use and needs no closing: it
// runs nothing while nobody waits for it.
type Ledger struct {
	o     Options
	pools *committer[*State, *Tx]
}

// New returns a ledger that knows only what it will read.
func New(o Options) *Ledger {
	l := &Ledger{o: o.complete()}
	l.pools = newCommitter(committerOptions{
		kind: poolKind, budget: l.o.Budget, logger: l.o.Logger, metrics: l.o.Metrics, onClusterRestored: l.o.OnClusterRestored,
		notFound: noSuchPool,
	}, l.open)
	return l
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

// Change is one caller's change of one pool.
type Change = ChangeOf[*Tx]

// Apply makes a change durable in a pool. It returns nil once the API server has stored it, or
// found that there was nothing to store; an error of the change itself, confirmed by the API
// server; or that of ctx, and then whether the change was stored is unknown.
func (l *Ledger) Apply(ctx context.Context, pool string, change Change) error {
	return l.pools.apply(ctx, pool, change)
}

// Waiting returns how many changes of a pool wait for the write in flight.
func (l *Ledger) Waiting(pool string) int { return l.pools.queued(pool) }
