package ledger

import (
	"context"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// poolKind is what messages call a SpiderIPPool.
const poolKind = "pool"

// noSuchPool is what who asks a pool for an address is told where there is none.
func noSuchPool(name string) error {
	return &RefusedError{Pool: name, Cause: crdv1.ReasonPoolNotReady, Reason: ErrNotFound.Error()}
}

// poolObject is a pool as its queue works with it.
type poolObject struct {
	o      *Options
	name   string
	recent allocator.Recent

	freeKey   freeKey // what freeSpace was computed from
	freeSpace allocator.Space
}

var _ object[*State, *Tx] = (*poolObject)(nil)

func (l *Ledger) open(name string) object[*State, *Tx] { return &poolObject{o: &l.o, name: name} }

func (s *State) revision() uint64 { return s.Revision }

func (s *State) uid() types.UID { return s.Pool.UID }

func (p *poolObject) shown() bool {
	_, ok := p.o.Pools.Pool(p.name)
	return ok
}

func (p *poolObject) watched(known *State) (*State, error) {
	return watched(p.o.Pools, p.o.Decoder, p.name, known)
}

// watched returns what the watch has shown of a pool, or known where that is newer; nil if there is
// neither.
func watched(pools Pools, d *Decoder, pool string, known *State) (*State, error) {
	object, ok := pools.Pool(pool)
	if !ok || known != nil && object.ResourceVersion == known.Pool.ResourceVersion {
		return known, nil
	}
	revision, err := parseRevision(object)
	if err != nil || known != nil && revision < known.Revision {
		return known, err
	}
	return d.Read(object)
}

func (p *poolObject) read(ctx context.Context) (*State, uint64, error) {
	object, err := p.o.API.Get(ctx, p.name)
	if err != nil {
		return nil, 0, err
	}
	revision, err := parseRevision(object)
	if err != nil {
		return nil, 0, &UnreadableError{poolKind, p.name, err}
	}
	state, err := p.o.Decoder.Read(object)
	return state, revision, err
}

func (p *poolObject) begin(s *State) *Tx {
	tx := begin(s, p.free(s), &p.recent, p.o.Used)
	tx.Now = p.o.Now()
	return tx
}

func (p *poolObject) end(tx *Tx) (next *State, size int, changed bool) {
	text := tx.Record.Encode()
	status := tx.status(text)
	if equality.Semantic.DeepEqual(status, tx.Pool.Status) {
		return nil, text.Size(), false
	}
	return &State{Pool: withStatus(tx.Pool, status), Space: tx.Space, InService: tx.InService, Record: tx.Record}, text.Size(), true
}

// withStatus returns what is sent to the API server: it keeps the managed fields of what is stored
// when none are sent. The spec is shared with the cache: the answer is decoded into an object that
// the client has zeroed before.
func withStatus(pool *crdv1.SpiderIPPool, status crdv1.IPPoolStatus) *crdv1.SpiderIPPool {
	next := &crdv1.SpiderIPPool{TypeMeta: pool.TypeMeta, ObjectMeta: *pool.ObjectMeta.DeepCopy(), Spec: pool.Spec, Status: status}
	next.ManagedFields = nil
	return next
}

func (p *poolObject) write(ctx context.Context, next *State) (*State, error) {
	stored, err := p.o.API.UpdateStatus(ctx, next.Pool)
	if err != nil {
		return nil, err
	}
	revision, err := parseRevision(stored)
	if err != nil {
		return nil, err
	}
	s := *next
	s.Pool, s.Revision = stored, revision
	p.o.Decoder.know(&s)
	return &s, nil
}

// learned notes the addresses that came free or were taken.
func (p *poolObject) learned(before, after *State) {
	if before == nil || before.uid() != after.uid() {
		return
	}
	was, is, now := before.Record.Taken(), after.Record.Taken(), p.o.Now()
	for a := range was.Without(is) {
		p.recent.GaveBack(a, now)
	}
	for a := range is.Without(was) {
		p.recent.Took(a)
	}
}

// free returns what may be handed out of a version. Subtracting sets is dear, so it is done once
// for each change of what it depends on.
func (p *poolObject) free(s *State) allocator.Space {
	ranges, version := p.o.ReservedRanges()
	key := freeKey{uid: s.Pool.UID, generation: s.Pool.Generation, inService: s.InService, reserved: version}
	if !p.freeKey.equal(key) {
		p.freeKey, p.freeSpace = key, s.Free().Without(ranges)
	}
	return p.freeSpace
}

// freeKey tells whether the space that was computed last still holds.
type freeKey struct {
	uid        types.UID
	generation int64
	inService  allocator.Space
	reserved   uint64
}

func (k freeKey) equal(o freeKey) bool {
	return k.uid == o.uid && k.generation == o.generation && k.reserved == o.reserved && k.inService.Equal(o.inService)
}
