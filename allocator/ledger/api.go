package ledger

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// API is the part of the API server that the ledger talks to. Get is a consistent read, never one
// of a cache.
type API interface {
	Get(ctx context.Context, name string) (*crdv1.SpiderIPPool, error)
	// UpdateStatus writes the status if the resourceVersion of pool is the present one, and returns
	// the stored object.
	UpdateStatus(ctx context.Context, pool *crdv1.SpiderIPPool) (*crdv1.SpiderIPPool, error)
}

// FieldManager is the one manager of all of a pool's status, so that managed fields stay small
// however many replicas write.
const FieldManager = "spiderpool"

// NewAPI returns the API server behind c, which MUST NOT read from a cache.
func NewAPI(c client.Client) API { return clientAPI{c} }

type clientAPI struct{ client client.Client }

var _ API = clientAPI{}

func (a clientAPI) Get(ctx context.Context, name string) (*crdv1.SpiderIPPool, error) {
	var pool crdv1.SpiderIPPool
	if err := a.client.Get(ctx, types.NamespacedName{Name: name}, &pool); err != nil {
		return nil, err
	}
	return &pool, nil
}

func (a clientAPI) UpdateStatus(ctx context.Context, pool *crdv1.SpiderIPPool) (*crdv1.SpiderIPPool, error) {
	if err := a.client.Status().Update(ctx, pool, client.FieldOwner(FieldManager)); err != nil {
		return nil, err
	}
	return pool, nil
}

// Pools is what a watch has shown of the pools; it may be late.
type Pools interface {
	// Pool returns an object that nobody changes.
	Pool(name string) (*crdv1.SpiderIPPool, bool)
}
