package ledger

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/go-logr/logr"
)

// committer makes changes of the objects of one kind durable, many with one write. It knows nothing
// of what their records say: V is one version of an object, T a transaction on one. It is safe for
// concurrent use, and runs nothing while nobody waits for it.
type committer[V version, T transaction] struct {
	committerOptions
	open     func(name string) object[V, T]
	restored atomic.Pointer[ClusterRestoredError] // why nothing is written any more
	tell     sync.Once

	mu     sync.Mutex
	queues map[string]*queue[V, T] // name -> those who wait for the object
}

// committerOptions are what all kinds have in common.
type committerOptions struct {
	kind              string // for messages, such as pool
	budget            int    // the most bytes that a record may take
	logger            logr.Logger
	metrics           *Metrics
	onClusterRestored func(error)
	notFound          func(name string) error // what a caller is told where there is no such object
}

// version is one version of an object, read. It is never changed.
type version interface {
	comparable
	revision() uint64 // its resourceVersion
	uid() types.UID
}

// transaction is a version that changes are applied to.
type transaction interface {
	// forget drops what was counted of the record: a change came that does not keep it true.
	forget()
}

// object is one object of a kind, with what its writer remembers of it. Its queue's writer calls
// it, one call at a time.
type object[V version, T transaction] interface {
	// watched returns what the watch has shown, or known where that is newer; the zero version
	// where there is neither.
	watched(known V) (V, error)
	// shown reports whether the watch shows the object at all.
	shown() bool
	// read returns the present version by a consistent read, and its revision also where the error
	// says that the version cannot be understood.
	read(ctx context.Context) (V, uint64, error)
	// begin returns a transaction on a version.
	begin(V) T
	// end returns the version that a transaction makes of the one it began on and the bytes that
	// its record takes; changed is false where nothing is to be written.
	end(T) (next V, size int, changed bool)
	// write stores a version if the object is still at the one that it was computed from, and
	// returns it as stored.
	write(ctx context.Context, next V) (V, error)
	// learned is told of each newer version; before is zero at first.
	learned(before, after V)
}

// ChangeOf is one caller's change of one object.
type ChangeOf[T any] struct {
	// Do edits the transaction, or returns an error and leaves it as it was. It MAY be called
	// several times, each time on what is then the newest version, MUST find its own effect where
	// an earlier write of it landed, and MUST return soon. It is called from one goroutine at a
	// time, which is not the caller's.
	Do func(T) error
	// Patience is how long the change may wait for others to share its write. 0 means that it is
	// written as soon as the write in flight is answered.
	Patience time.Duration
	// Grows marks a change that a record without room for it refuses.
	Grows bool

	counts bool // it keeps true what the transaction has counted
}

func newCommitter[V version, T transaction](o committerOptions, open func(name string) object[V, T]) *committer[V, T] {
	return &committer[V, T]{committerOptions: o, open: open, queues: map[string]*queue[V, T]{}}
}

// apply makes a change durable in the object of a name. It returns nil once the API server has
// stored it, or found that there was nothing to store; an error of the change itself, confirmed by
// the API server; or that of ctx, and then whether the change was stored is unknown.
func (c *committer[V, T]) apply(ctx context.Context, name string, change ChangeOf[T]) error {
	r := &request[T]{ctx: ctx, change: change, due: time.Now().Add(change.Patience), done: make(chan struct{})}
	c.enqueue(name, r)
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
		return fmt.Errorf("writing status of %s %q: %w, after: %w", c.kind, name, context.Cause(ctx), *last)
	}
	return fmt.Errorf("writing status of %s %q: %w", c.kind, name, context.Cause(ctx))
}

// request is a change with the caller who waits for it.
type request[T any] struct {
	ctx     context.Context //nolint:containedctx // the caller's wait is what it stands for
	change  ChangeOf[T]
	due     time.Time
	trouble atomic.Pointer[error] // the last answer of the API server that helped nobody
	err     error                 // set before done is closed
	done    chan struct{}
}

func (r *request[T]) grows() bool { return r.change.Grows }

func (r *request[T]) answer(err error) {
	r.err = err
	close(r.done)
}

// queue holds who waits for one object. Its writer, the goroutine that runs while somebody waits,
// alone touches what stands below the blank line.
type queue[V version, T transaction] struct {
	name    string
	waiting []*request[T]
	running bool
	wake    chan struct{} // capacity 1: somebody joined who may not want to wait

	object   object[V, T]
	known    V    // newest version that this process wrote or read; zero where none
	mustRead bool // a write's outcome is unknown
}

func (c *committer[V, T]) enqueue(name string, r *request[T]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	q, ok := c.queues[name]
	if !ok {
		q = &queue[V, T]{name: name, wake: make(chan struct{}, 1), object: c.open(name)}
		c.queues[name] = q
	}
	q.waiting = append(q.waiting, r)
	if !q.running {
		q.running = true
		go c.run(q)
		return
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// run is the writer of one object: it ends when nobody waits.
func (c *committer[V, T]) run(q *queue[V, T]) {
	for {
		batch, wait := c.take(q)
		switch {
		case len(batch) > 0:
			c.commit(q, batch)
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

// take returns all who wait, if one of them has waited long enough, else how long the first of them
// will still wait; nothing and 0 if nobody waits.
func (c *committer[V, T]) take(q *queue[V, T]) ([]*request[T], time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(q.waiting) == 0 {
		q.running = false
		if !q.object.shown() && !q.mustRead { // gone, or not shown yet: nothing is lost that a read does not bring back
			delete(c.queues, q.name)
		}
		return nil, 0
	}
	first := slices.MinFunc(q.waiting, func(a, b *request[T]) int { return a.due.Compare(b.due) })
	if wait := time.Until(first.due); wait > 0 {
		return nil, wait
	}
	batch := q.waiting
	q.waiting = nil
	return batch, 0
}

// queued returns how many changes of an object wait for the write in flight.
func (c *committer[V, T]) queued(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if q, ok := c.queues[name]; ok {
		return len(q.waiting)
	}
	return 0
}
