package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// callTimeout bounds one call, so that a connection that died without a word
// is noticed.
const callTimeout = 10 * time.Second

// tellEvery is how often the log says that a write still does not succeed.
const tellEvery = time.Minute

// commit answers every request of the batch whose caller still waits.
//
//	read ──▶ compute ──▶ write ──▶ answer
//	 ▲          │          │
//	 │          │          ├─ conflict: somebody else wrote
//	 │          │          └─ unknown: it may have landed
//	 │          └─ a refusal from the cache, and nothing to write
//	 └──────────┴──────────┘
func (l *Ledger) commit(q *queue, batch []*request) {
	pause := wait.Backoff{Duration: 20 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 7, Cap: time.Second}
	var told time.Time
	for batch = waiting(batch); len(batch) > 0; batch = waiting(batch) {
		state, confirmed, err := l.newest(q)
		if err == nil {
			var done bool
			if done, err = l.attempt(q, state, batch, confirmed); done {
				return
			}
		}
		switch {
		case err == nil:
			q.mustRead = true
			continue
		case definite(err):
			answerAll(batch, explain(q.pool, err))
			return
		}
		for _, r := range batch {
			r.trouble.Store(&err)
		}
		if time.Since(told) > tellEvery {
			told = time.Now()
			l.o.Logger.Error(err, "the API server does not take the status of a pool; trying again", "pool", q.pool, "waiting", len(batch))
		}
		time.Sleep(pause.Step())
	}
}

// newest returns the newest version known of the pool, and whether it was read
// from the API server just now.
func (l *Ledger) newest(q *queue) (*State, bool, error) {
	if void := l.void.Load(); void != nil {
		return nil, true, void
	}
	if !q.mustRead {
		state, err := watched(l.o.Pools, q.pool, q.known)
		if err == nil && state != nil {
			l.learn(q, state)
			return state, false, nil
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	object, err := l.o.API.Get(ctx, q.pool)
	if apierrors.IsNotFound(err) {
		q.known, q.mustRead = nil, false
		return nil, true, ErrNoPool
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading: %w", err)
	}
	if err := l.onward(q, object); err != nil {
		return nil, true, err
	}
	state, err := Read(object)
	if err != nil {
		return nil, true, err
	}
	q.mustRead = false
	l.learn(q, state)
	return state, true, nil
}

// onward checks that the API server did not go back behind what the queue knows
// (I11). That came from it before this read began, and the versions of one name
// only rise, also where it is deleted and made anew.
func (l *Ledger) onward(q *queue, read *crdv1.SpiderIPPool) error {
	revision, err := parseRevision(read)
	if err != nil {
		return &UnreadableError{q.pool, err}
	}
	if q.known == nil || revision >= q.known.Revision {
		return nil
	}
	void := &ClusterRestoredError{Pool: q.pool, Known: q.known.Revision, Read: revision}
	l.void.Store(void)
	l.voids.Do(func() { l.o.OnClusterRestored(void) })
	return void
}

// learn makes s what the queue knows, and notes the addresses that came free or
// were taken.
func (l *Ledger) learn(q *queue, s *State) {
	if q.known == s {
		return
	}
	if q.known != nil && q.known.Pool.UID == s.Pool.UID {
		before, after, now := q.known.Record.Taken(), s.Record.Taken(), l.o.Now()
		for a := range before.Without(after) {
			q.recent.GaveBack(a, now)
		}
		for a := range after.Without(before) {
			q.recent.Took(a)
		}
	}
	q.known = s
}

// attempt computes the batch on state and writes it. It returns true when all
// are answered; false and nil when the API server must be read first, because
// the write met a newer version or a refusal rests on the cache alone; false
// and the error when what became of the write is unknown.
func (l *Ledger) attempt(q *queue, state *State, batch []*request, confirmed bool) (bool, error) {
	next, errs := l.compute(q, state, batch)
	if next == nil {
		if !confirmed && slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
			return false, nil
		}
		answerEach(batch, errs)
		return true, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	stored, err := l.o.API.UpdateStatus(ctx, next.Pool)
	l.o.Metrics.wrote(len(batch), err)
	switch {
	case apierrors.IsConflict(err):
		return false, nil
	case apierrors.IsNotFound(err):
		q.known = nil
		return false, ErrNoPool
	case err != nil:
		q.mustRead = true
		return false, fmt.Errorf("writing: %w", err)
	}
	next.Pool = stored
	if next.Revision, err = parseRevision(stored); err != nil {
		q.mustRead = true
		return false, fmt.Errorf("writing: in the answer, %w", err)
	}
	l.learn(q, next)
	answerEach(batch, errs)
	return true, nil
}

// compute applies the batch to state. It returns what is to be written, or nil
// where that is what state says already, and the error of each change.
func (l *Ledger) compute(q *queue, state *State, batch []*request) (*State, []error) {
	tx := begin(state, l.free(q, state), &q.recent, l.o.Used)
	tx.Now = l.o.Now()
	errs := make([]error, len(batch))
	for i, r := range batch {
		errs[i] = tx.apply(r.change)
	}
	enc := tx.Record.Encode()
	if size := enc.Size(); size > l.o.Budget && slices.ContainsFunc(batch, (*request).grows) {
		return l.computeSmaller(q, state, batch, &OverBudgetError{Pool: q.pool, Size: size, Limit: l.o.Budget})
	}
	status := tx.status(enc)
	if equality.Semantic.DeepEqual(status, state.Pool.Status) {
		return nil, errs
	}
	return &State{Pool: withStatus(state.Pool, status), Space: state.Space, Record: tx.Record}, errs
}

func (r *request) grows() bool { return r.change.Grows }

// computeSmaller is compute without the changes that make the record larger:
// what gives addresses back must always find room.
func (l *Ledger) computeSmaller(q *queue, state *State, batch []*request, refusal error) (*State, []error) {
	var rest []*request
	for _, r := range batch {
		if !r.grows() {
			rest = append(rest, r)
		}
	}
	next, restErrs := l.compute(q, state, rest)
	errs := make([]error, len(batch))
	for i, r := range batch {
		if r.grows() {
			errs[i] = refusal
			continue
		}
		errs[i], restErrs = restErrs[0], restErrs[1:]
	}
	return next, errs
}

// withStatus returns what is sent to the API server: it keeps the managed
// fields of what is stored when none are sent. The spec is shared with the cache:
// the answer is decoded into an object that the client has zeroed before.
func withStatus(pool *crdv1.SpiderIPPool, status crdv1.IPPoolStatus) *crdv1.SpiderIPPool {
	next := &crdv1.SpiderIPPool{TypeMeta: pool.TypeMeta, ObjectMeta: *pool.ObjectMeta.DeepCopy(), Spec: pool.Spec, Status: status}
	next.ManagedFields = nil
	return next
}

// definite reports whether err means that nothing was written, nor will be if
// the same is tried again. Everything else is unknown: a time-out, an internal
// error, a connection that broke.
func definite(err error) bool {
	var unreadable *UnreadableError
	var void *ClusterRestoredError
	return errors.Is(err, ErrNoPool) || errors.As(err, &unreadable) || errors.As(err, &void) ||
		apierrors.IsNotFound(err) || apierrors.IsInvalid(err) || apierrors.IsForbidden(err) ||
		apierrors.IsBadRequest(err) || tooLarge(err) ||
		apierrors.IsUnsupportedMediaType(err) || apierrors.ReasonForError(err) == metav1.StatusReasonMethodNotAllowed
}

// tooLarge reports whether etcd, or the API server before it, does not take as
// much. Why etcd refuses, the API server says in no other way.
func tooLarge(err error) bool {
	return apierrors.IsRequestEntityTooLargeError(err) || apierrors.IsInternalError(err) && strings.Contains(err.Error(), "etcdserver: request is too large")
}

func explain(pool string, err error) error {
	var unreadable *UnreadableError
	switch {
	case errors.As(err, &unreadable):
		return err
	case errors.Is(err, ErrNoPool) || apierrors.IsNotFound(err):
		return &RefusedError{Pool: pool, Cause: crdv1.ReasonPoolNotReady, Reason: ErrNoPool.Error()}
	}
	return fmt.Errorf("status of pool %q: %w", pool, err)
}

// waiting returns the requests whose callers have not gone. What became of the
// changes of those who went nobody asks any more; a write of them that landed
// is found by the next read.
func waiting(batch []*request) []*request {
	return slices.DeleteFunc(batch, func(r *request) bool { return r.ctx.Err() != nil })
}

func answerAll(batch []*request, err error) {
	for _, r := range batch {
		r.answer(err)
	}
}

func answerEach(batch []*request, errs []error) {
	for i, r := range batch {
		r.answer(errs[i])
	}
}

// free returns what may be handed out of state's space. Subtracting sets is
// dear, so it is done once per version of either.
func (l *Ledger) free(q *queue, state *State) allocator.Space {
	never, version := l.o.ReservedRanges()
	key := freeKey{uid: state.Pool.UID, generation: state.Pool.Generation, never: version}
	if q.freeKey != key {
		q.freeKey, q.freeSpace = key, state.Space.Without(never)
	}
	return q.freeSpace
}

// freeKey tells whether the space that was computed last still holds.
type freeKey struct {
	uid        types.UID
	generation int64
	never      uint64
}
