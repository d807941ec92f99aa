package lifecycle

import (
	"context"
	"errors"
	"net/netip"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"spidernet.io/spiderpool/allocator/ledger"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// errDeposed says that another leader took a pool over. Who is told so stops
// leading: what it saw and did not write yet proves nothing any more.
var errDeposed = errors.New("another leader has taken the pool over")

// errReplaced says that the pool of this name is another one than before.
var errReplaced = errors.New("the pool was made anew")

// Applier makes changes of a pool durable: a *ledger.Ledger.
type Applier interface {
	Apply(ctx context.Context, pool string, change ledger.Change) error
}

// tenure is what this leader knows of one pool since it took it over.
//
// Why a leader takes pools over: the end of a pod proves that its address is
// unused only as long as nobody else can have released the address and given
// it to another pod whose own end was not seen. The term in the record rules
// that out. After the take-over no other leader settles or releases, and once
// this one's view has reached the mark of that moment, every settled address
// either has its live pod in view, or the end of its pod was not seen.
type tenure struct {
	uid      types.UID
	begun    bool
	mark     uint64 // podsSeenThrough at the take-over
	baseline uint64 // revision of the view when it had reached mark; 0 before

	ends map[netip.Addr]end // settled or reserved address -> the end that was seen of its pod
}

// end is a pod's end as this leader saw it.
type end struct {
	pod      *Pod   // as last seen
	revision uint64 // of the event
}

// tenures are the pools of one leader. Safe for concurrent use.
type tenures struct {
	term string

	mu     sync.Mutex
	byPool map[string]*tenure // pool -> tenure
}

func newTenures(term string) *tenures {
	return &tenures{term: term, byPool: map[string]*tenure{}}
}

// of returns a copy of the pool's tenure without its ends, made anew where the
// pool was.
func (t *tenures) of(pool *crdv1.SpiderIPPool) tenure {
	t.mu.Lock()
	defer t.mu.Unlock()
	tn := t.getLocked(pool.Name)
	if tn.uid != pool.UID {
		*tn = tenure{uid: pool.UID, ends: tn.ends}
	}
	return tenure{uid: tn.uid, begun: tn.begun, mark: tn.mark, baseline: tn.baseline}
}

func (t *tenures) getLocked(pool string) *tenure {
	tn, ok := t.byPool[pool]
	if !ok {
		tn = &tenure{ends: map[netip.Addr]end{}}
		t.byPool[pool] = tn
	}
	return tn
}

// begin notes that the pool was taken over.
func (t *tenures) begin(pool string, uid types.UID, mark uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tn := t.getLocked(pool); tn.uid == uid {
		tn.begun, tn.mark = true, mark
	}
}

// see notes that the view had reached the mark at revision.
func (t *tenures) see(pool string, uid types.UID, revision uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tn := t.getLocked(pool); tn.uid == uid && tn.begun && tn.baseline == 0 {
		tn.baseline = revision
	}
}

// forget drops a pool that is gone.
func (t *tenures) forget(pool string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.byPool, pool)
}

// note records the end of a pod for all its addresses.
func (t *tenures) note(p *Pod, revision uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range p.Claims {
		t.getLocked(c.Pool).ends[c.Address] = end{pod: p, revision: revision}
	}
}

// ends returns the ends that were seen after the baseline. Those before it
// prove nothing and are dropped.
func (t *tenures) ends(pool string) map[netip.Addr]end {
	t.mu.Lock()
	defer t.mu.Unlock()
	tn := t.getLocked(pool)
	if tn.baseline == 0 {
		return nil
	}
	seen := make(map[netip.Addr]end, len(tn.ends))
	for a, e := range tn.ends {
		if e.revision <= tn.baseline {
			delete(tn.ends, a)
			continue
		}
		seen[a] = e
	}
	return seen
}

// drop forgets ends that were acted upon, unless newer ones stand there.
func (t *tenures) drop(pool string, ends map[netip.Addr]end) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tn := t.getLocked(pool)
	for a, e := range ends {
		if tn.ends[a] == e {
			delete(tn.ends, a)
		}
	}
}

// fence wraps do so that it runs only while this leader has the pool.
func (t *tenures) fence(uid types.UID, do func(*ledger.Tx) error) func(*ledger.Tx) error {
	return func(tx *ledger.Tx) error {
		switch {
		case tx.Pool.UID != uid:
			return errReplaced
		case tx.Record.Term() != t.term:
			return errDeposed
		}
		return do(tx)
	}
}

// stop stops leading where err says that another leads, and returns err.
func stop(err error, depose func(error)) error {
	if errors.Is(err, errDeposed) {
		depose(err)
		return reconcile.TerminalError(err)
	}
	return err
}
