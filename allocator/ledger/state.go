package ledger

import (
	"fmt"
	"net/netip"
	"strconv"

	"go4.org/netipx"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/status"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// State is one version of a pool, read. It is never changed.
type State struct {
	Pool     *crdv1.SpiderIPPool
	Revision uint64            // the resourceVersion
	Space    allocator.Space   // see SpaceOf
	Record   *allocator.Record // of the status
	// InService are the addresses that the leader has judged: only those of them that are in Space
	// still are handed out. An edit of the spec changes Space at once, and InService once what was
	// gained is judged.
	InService allocator.Space
}

// Free returns what may be handed out, taken or not.
func (s *State) Free() allocator.Space { return s.Space.Intersect(s.InService) }

// Gained returns the addresses that the spec has and nobody has judged.
func (s *State) Gained() allocator.Space { return s.Space.Minus(s.InService) }

// Read decodes a version of a pool. The error is an *UnreadableError.
func Read(pool *crdv1.SpiderIPPool) (*State, error) {
	unreadable := func(err error) (*State, error) { return nil, &UnreadableError{poolKind, pool.Name, err} }
	revision, err := parseRevision(pool)
	if err != nil {
		return unreadable(err)
	}
	space, err := SpaceOf(&pool.Spec)
	if err != nil {
		return unreadable(err)
	}
	inService, err := inServiceOf(pool, space)
	if err != nil {
		return unreadable(err)
	}
	record, err := status.Record(&pool.Status)
	if err != nil {
		return unreadable(err)
	}
	return &State{Pool: pool, Revision: revision, Space: space, InService: inService, Record: record}, nil
}

// parseRevision returns the resourceVersion as the comparable number that it is (KEP-5504).
func parseRevision(pool *crdv1.SpiderIPPool) (uint64, error) {
	n, err := strconv.ParseUint(pool.ResourceVersion, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("resourceVersion %q is no number", pool.ResourceVersion)
	}
	return n, nil
}

// SpaceOf returns the addresses that a pool may hand out: ips without excludeIPs, without the
// gateway and the next hops of routes, and without the broadcast address of the subnet, or its
// anycast address in IPv6.
func SpaceOf(spec *crdv1.IPPoolSpec) (allocator.Space, error) {
	subnet, err := allocator.ParsePrefix(spec.Subnet)
	if err != nil {
		return allocator.Space{}, fmt.Errorf("spec.subnet: %w", err)
	}
	include, err := ranges("spec.ips", spec.IPs)
	if err != nil {
		return allocator.Space{}, err
	}
	exclude, err := ranges("spec.excludeIPs", spec.ExcludeIPs)
	if err != nil {
		return allocator.Space{}, err
	}
	routers, err := routersOf(spec)
	if err != nil {
		return allocator.Space{}, err
	}
	return allocator.SpaceIn(subnet, include, exclude, routers)
}

// routersOf returns the gateway and the next hops of routes.
func routersOf(spec *crdv1.IPPoolSpec) ([]netip.Addr, error) {
	texts := map[string]string{} // address -> field
	for i, r := range spec.Routes {
		texts[r.Gw] = fmt.Sprintf("spec.routes[%d].gw", i)
	}
	if spec.Gateway != nil {
		texts[*spec.Gateway] = "spec.gateway"
	}
	routers := make([]netip.Addr, 0, len(texts))
	for text, field := range texts {
		router, err := netip.ParseAddr(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", field, err)
		}
		routers = append(routers, router)
	}
	return routers, nil
}

func ranges(field string, texts []string) ([]netipx.IPRange, error) {
	list := make([]netipx.IPRange, 0, len(texts))
	for i, text := range texts {
		r, err := allocator.ParseRange(text)
		if err != nil {
			return nil, fmt.Errorf("%s[%d]: %w", field, i, err)
		}
		list = append(list, r)
	}
	return list, nil
}
