package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// callTimeout bounds one call, so that a connection that died without a word is noticed.
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
func (c *committer[V, T]) commit(q *queue[V, T], batch []*request[T]) {
	backoff := wait.Backoff{Duration: 20 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 7, Cap: time.Second}
	var told time.Time
	for batch = waiting(batch); len(batch) > 0; batch = waiting(batch) {
		state, confirmed, err := c.newest(q)
		if err == nil {
			var done bool
			if done, err = c.attempt(q, state, batch, confirmed); done {
				return
			}
		}
		switch {
		case err == nil:
			q.mustRead = true
			continue
		case definite(err):
			answerAll(batch, c.explain(q.name, err))
			return
		}
		for _, r := range batch {
			r.trouble.Store(&err)
		}
		if time.Since(told) > tellEvery {
			told = time.Now()
			c.logger.Error(err, "the API server does not take a status; trying again", c.kind, q.name, "waiting", len(batch))
		}
		pause(batch, backoff.Step())
	}
}

// pause waits for d, or until no caller waits any more.
func pause[T any](batch []*request[T], d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for _, r := range batch {
		select {
		case <-timer.C:
			return
		case <-r.ctx.Done():
		}
	}
}

// newest returns the newest version known of the object, and whether it was read from the API
// server just now.
func (c *committer[V, T]) newest(q *queue[V, T]) (state V, confirmed bool, err error) {
	var none V
	if restored := c.restored.Load(); restored != nil {
		return none, true, restored
	}
	if !q.mustRead {
		state, err := q.object.watched(q.known)
		if err == nil && state != none {
			q.learn(state)
			return state, false, nil
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	state, revision, err := q.object.read(ctx)
	if apierrors.IsNotFound(err) {
		q.known, q.mustRead = none, false
		return none, true, ErrNotFound
	}
	var unreadable *UnreadableError
	if err != nil && !errors.As(err, &unreadable) {
		return none, false, fmt.Errorf("reading: %w", err)
	}
	if err := c.onward(q, revision); err != nil {
		return none, true, err
	}
	if err != nil {
		return none, true, err
	}
	q.mustRead = false
	q.learn(state)
	return state, true, nil
}

// onward checks that the API server did not go back behind what the queue knows (I11). That came
// from it before this read began, and the versions of one name only rise, also where it is deleted
// and made anew.
func (c *committer[V, T]) onward(q *queue[V, T], read uint64) error {
	var none V
	if q.known == none || read >= q.known.revision() {
		return nil
	}
	restored := &ClusterRestoredError{Kind: c.kind, Name: q.name, Known: q.known.revision(), Read: read}
	c.restored.Store(restored)
	c.tell.Do(func() { c.onClusterRestored(restored) })
	return restored
}

// learn makes s what the queue knows.
func (q *queue[V, T]) learn(s V) {
	if q.known == s {
		return
	}
	q.object.learned(q.known, s)
	q.known = s
}

// attempt computes the batch on state and writes it. It returns true when all are answered; false
// and nil when the API server must be read first, because the write met a newer version or a
// refusal rests on the cache alone; false and the error when what became of the write is unknown.
func (c *committer[V, T]) attempt(q *queue[V, T], state V, batch []*request[T], confirmed bool) (bool, error) {
	next, changed, errs := c.compute(q, state, batch)
	if !changed {
		if !confirmed && slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
			return false, nil
		}
		answerEach(batch, errs)
		return true, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	stored, err := q.object.write(ctx, next)
	c.metrics.wrote(len(batch), err)
	switch {
	case apierrors.IsConflict(err):
		return false, nil
	case apierrors.IsNotFound(err):
		var none V
		q.known = none
		return false, ErrNotFound
	case err != nil:
		q.mustRead = true
		return false, fmt.Errorf("writing: %w", err)
	}
	q.learn(stored)
	answerEach(batch, errs)
	return true, nil
}

// compute applies the batch to state. It returns what is to be written, false where that is what
// state says already, and the error of each change.
func (c *committer[V, T]) compute(q *queue[V, T], state V, batch []*request[T]) (next V, changed bool, errs []error) {
	tx := q.object.begin(state)
	errs = make([]error, len(batch))
	for i, r := range batch {
		errs[i] = applyTo(tx, r.change)
	}
	next, size, changed := q.object.end(tx)
	if size > c.budget && slices.ContainsFunc(batch, (*request[T]).grows) {
		return c.computeSmaller(q, state, batch, &OverBudgetError{Kind: c.kind, Name: q.name, Size: size, Limit: c.budget})
	}
	return next, changed, errs
}

// applyTo makes one change.
func applyTo[T transaction](tx T, change ChangeOf[T]) error {
	err := change.Do(tx)
	if !change.counts {
		tx.forget()
	}
	return err
}

// computeSmaller is compute without the changes that make the record larger: what gives addresses
// back must always find room.
func (c *committer[V, T]) computeSmaller(q *queue[V, T], state V, batch []*request[T], refusal error) (next V, changed bool, errs []error) {
	var rest []*request[T]
	for _, r := range batch {
		if !r.grows() {
			rest = append(rest, r)
		}
	}
	next, changed, restErrs := c.compute(q, state, rest)
	errs = make([]error, len(batch))
	for i, r := range batch {
		if r.grows() {
			errs[i] = refusal
			continue
		}
		errs[i], restErrs = restErrs[0], restErrs[1:]
	}
	return next, changed, errs
}

// definite reports whether err means that nothing was written, nor will be if the same is tried
// again. Everything else is unknown: a time-out, an internal error, a connection that broke.
func definite(err error) bool {
	var unreadable *UnreadableError
	var restored *ClusterRestoredError
	return errors.Is(err, ErrNotFound) || errors.As(err, &unreadable) || errors.As(err, &restored) ||
		apierrors.IsNotFound(err) || apierrors.IsInvalid(err) || apierrors.IsForbidden(err) ||
		apierrors.IsBadRequest(err) || tooLarge(err) ||
		apierrors.IsUnsupportedMediaType(err) || apierrors.ReasonForError(err) == metav1.StatusReasonMethodNotAllowed
}

// tooLarge reports whether etcd, or the API server before it, does not take as much. Why etcd
// refuses, the API server says in no other way.
func tooLarge(err error) bool {
	return apierrors.IsRequestEntityTooLargeError(err) || apierrors.IsInternalError(err) && strings.Contains(err.Error(), "etcdserver: request is too large")
}

func (c *committer[V, T]) explain(name string, err error) error {
	var unreadable *UnreadableError
	switch {
	case errors.As(err, &unreadable):
		return err
	case errors.Is(err, ErrNotFound) || apierrors.IsNotFound(err):
		return c.notFound(name)
	}
	return fmt.Errorf("status of %s %q: %w", c.kind, name, err)
}

// waiting returns the requests whose callers have not gone. What became of the changes of those who
// went nobody asks any more; a write of them that landed is found by the next read.
func waiting[T any](batch []*request[T]) []*request[T] {
	return slices.DeleteFunc(batch, func(r *request[T]) bool { return r.ctx.Err() != nil })
}

func answerAll[T any](batch []*request[T], err error) {
	for _, r := range batch {
		r.answer(err)
	}
}

func answerEach[T any](batch []*request[T], errs []error) {
	for i, r := range batch {
		r.answer(errs[i])
	}
}
