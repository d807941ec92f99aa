package ledger

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator/ledger"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// faulty is the API server behind a bad line.
type faulty struct {
	ledger.API
	writes, reads atomic.Int64
	// update, if set, stands in for the n-th UpdateStatus, counted from 1.
	update func(ctx context.Context, n int64, pool *crdv1.SpiderIPPool) (*crdv1.SpiderIPPool, error)
}

func newFaulty() *faulty { return &faulty{API: ledger.NewAPI(kube)} }

func (f *faulty) Get(ctx context.Context, name string) (*crdv1.SpiderIPPool, error) {
	f.reads.Add(1)
	return f.API.Get(ctx, name)
}

func (f *faulty) UpdateStatus(ctx context.Context, pool *crdv1.SpiderIPPool) (*crdv1.SpiderIPPool, error) {
	n := f.writes.Add(1)
	if f.update != nil {
		return f.update(ctx, n, pool)
	}
	return f.API.UpdateStatus(ctx, pool)
}

var errLost = apierrors.NewTimeoutError("the answer was lost", 0)

// landed writes and loses the answer.
func (f *faulty) landed(ctx context.Context, pool *crdv1.SpiderIPPool) error {
	if _, err := f.API.UpdateStatus(ctx, pool); err != nil {
		return err
	}
	return errLost
}

// foreign makes another process's write of the pool.
func foreign(t *testing.T, pool string) {
	t.Helper()
	for {
		var p crdv1.SpiderIPPool
		err := kube.Get(context.Background(), client.ObjectKey{Name: pool}, &p)
		if err == nil {
			p.Labels = map[string]string{"foreign": p.ResourceVersion}
			err = kube.Update(context.Background(), &p)
		}
		if err == nil {
			return
		}
		if !apierrors.IsConflict(err) {
			t.Error(err)
			return
		}
	}
}

// gate holds back whoever passes until it is opened.
type gate struct {
	once    sync.Once
	reached chan struct{} // closed when the first has come
	open    chan struct{}
}

func newGate() *gate { return &gate{reached: make(chan struct{}), open: make(chan struct{})} }

func (g *gate) pass() {
	g.once.Do(func() { close(g.reached) })
	<-g.open
}
