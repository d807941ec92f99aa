package selection

import (
	"cmp"
	"fmt"
	"slices"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// byDefaultPools: the pools that the configuration lists, then those with spec.default, those with
// the most free addresses first.
func byDefaultPools(s *Snapshot) (*request, error) {
	if !s.Config.DefaultNetwork {
		return nil, nil
	}
	families := [2][]poolRef{
		listed("clusterDefaultIPv4IPPool", s.Config.ClusterDefaultIPv4IPPool),
		listed("clusterDefaultIPv6IPPool", s.Config.ClusterDefaultIPv6IPPool),
	}
	for _, pool := range s.defaultPools() {
		family, ok := familyOf(pool)
		if !ok {
			continue // created without validation; the leader does not make it Ready
		}
		if !slices.ContainsFunc(families[family], func(n poolRef) bool { return n.pool == pool.Name }) {
			families[family] = append(families[family], poolRef{pool: pool.Name, at: "spec.default"})
		}
	}
	if len(families[IPv4])+len(families[IPv6]) == 0 {
		return nil, nil
	}
	return &request{
		rule: "the cluster's default pools",
		nics: []nicRequest{{nic: crdv1.DefaultNIC, families: families}},
		open: true,
	}, nil
}

func listed(key string, names []string) []poolRef {
	out := make([]poolRef, len(names))
	for i, name := range names {
		out[i] = poolRef{pool: name, at: fmt.Sprintf("%s[%d]", key, i)}
	}
	return out
}

// defaultPools returns the pools with spec.default, those with the most free addresses first. The
// counters of a cache lag behind: this is only a preference, and the ledger decides whether an
// address is free.
func (s *Snapshot) defaultPools() []*crdv1.SpiderIPPool {
	var pools []*crdv1.SpiderIPPool
	for pool := range s.Pools.All() {
		if isTrue(pool.Spec.Default) {
			pools = append(pools, pool)
		}
	}
	slices.SortFunc(pools, func(a, b *crdv1.SpiderIPPool) int {
		return cmp.Or(cmp.Compare(free(b), free(a)), cmp.Compare(a.Name, b.Name))
	})
	return pools
}

func free(p *crdv1.SpiderIPPool) int64 {
	return valueOf(p.Status.TotalIPCount) - valueOf(p.Status.AllocatedIPCount)
}

func valueOf(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

func isTrue(b *bool) bool { return b != nil && *b }
