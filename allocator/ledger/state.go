package ledger

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"go4.org/netipx"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// State is one version of a pool, read. It is never changed.
type State struct {
	Pool     *crdv1.SpiderIPPool
	Revision uint64            // the resourceVersion
	Space    allocator.Space   // see SpaceOf
	Record   *allocator.Record // of the status
}

// Read decodes a version of a pool. The error is an *UnreadableError.
func Read(pool *crdv1.SpiderIPPool) (*State, error) {
	revision, err := parseRevision(pool)
	if err != nil {
		return nil, &UnreadableError{pool.Name, err}
	}
	space, err := SpaceOf(&pool.Spec)
	if err != nil {
		return nil, &UnreadableError{pool.Name, err}
	}
	record, err := allocator.Decode(encoded(&pool.Status))
	if err != nil {
		return nil, &UnreadableError{pool.Name, err}
	}
	return &State{Pool: pool, Revision: revision, Space: space, Record: record}, nil
}

// parseRevision returns the resourceVersion as the comparable number that it is
// (KEP-5504).
func parseRevision(pool *crdv1.SpiderIPPool) (uint64, error) {
	n, err := strconv.ParseUint(pool.ResourceVersion, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("resourceVersion %q is no number", pool.ResourceVersion)
	}
	return n, nil
}

// SpaceOf returns the addresses that a pool may hand out: ips without
// excludeIPs, without the gateway and the next hops of routes.
func SpaceOf(spec *crdv1.IPPoolSpec) (allocator.Space, error) {
	include, err := ranges("spec.ips", spec.IPs)
	if err != nil {
		return allocator.Space{}, err
	}
	exclude, err := ranges("spec.excludeIPs", spec.ExcludeIPs)
	if err != nil {
		return allocator.Space{}, err
	}
	routers := map[string]string{} // address -> field
	for i, r := range spec.Routes {
		routers[r.Gw] = fmt.Sprintf("spec.routes[%d].gw", i)
	}
	if spec.Gateway != nil {
		routers[*spec.Gateway] = "spec.gateway"
	}
	for text, field := range routers {
		router, err := netip.ParseAddr(text)
		if err != nil {
			return allocator.Space{}, fmt.Errorf("%s: %w", field, err)
		}
		exclude = append(exclude, netipx.IPRangeFrom(router, router))
	}
	return allocator.NewSpace(include, exclude)
}

func ranges(field string, texts []string) ([]netipx.IPRange, error) {
	list := make([]netipx.IPRange, 0, len(texts)+1)
	for i, text := range texts {
		r, err := allocator.ParseRange(text)
		if err != nil {
			return nil, fmt.Errorf("%s[%d]: %w", field, i, err)
		}
		list = append(list, r)
	}
	return list, nil
}

// Ready says why nothing may be reserved from a pool, or nil. A pool is ready
// for the generation that the leader judged: after an edit it waits for the
// next judgement, since two edits can pass validation at one moment.
func Ready(pool *crdv1.SpiderIPPool) error {
	if !pool.DeletionTimestamp.IsZero() {
		return errors.New("it is being deleted")
	}
	if pool.Spec.Disable != nil && *pool.Spec.Disable {
		return errors.New("it is disabled (spec.disable)")
	}
	c := meta.FindStatusCondition(pool.Status.Conditions, crdv1.ConditionReady)
	switch {
	case c == nil || c.ObservedGeneration != pool.Generation:
		return errors.New("it is not ready: the controller has not judged its present spec yet")
	case c.Status != metav1.ConditionTrue:
		return fmt.Errorf("it is not ready: %s: %s", c.Reason, c.Message)
	}
	return nil
}

func encoded(s *crdv1.IPPoolStatus) allocator.Encoded {
	return allocator.Encoded{
		Settled:         s.Settled,
		Reserved:        s.Reserved,
		Retained:        s.Retained,
		Held:            s.Held,
		PodsSeenThrough: s.PodsSeenThrough,
		LongestGrace:    s.LongestGrace,
		Term:            s.Term,
	}
}
