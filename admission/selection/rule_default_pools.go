package selection

import (
	"cmp"
	"fmt"
	"slices"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// byDefaultPools: the pools that the configuration lists, then those with spec.default, the one with most free addresses first.
func byDefaultPools(s *Snapshot) (*wanted, error) {
	if !s.Config.DefaultNetwork {
		return nil, nil
	}
	families := [2][]named{
		listed("clusterDefaultIPv4IPPool", s.Config.ClusterDefaultIPv4IPPool),
		listed("clusterDefaultIPv6IPPool", s.Config.ClusterDefaultIPv6IPPool),
	}
	for _, pool := range s.defaultPools() {
		family, ok := familyOf(pool)
		if !ok {
			continue // made without validation; the leader does not make it Ready
		}
		if !slices.ContainsFunc(families[family], func(n named) bool { return n.pool == pool.Name }) {
			families[family] = append(families[family], named{pool: pool.Name, at: "spec.default"})
		}
	}
	if len(families[IPv4])+len(families[IPv6]) == 0 {
		return nil, nil
	}
	return &wanted{
		rule: "the cluster's default pools",
		nics: []wish{{nic: crdv1.DefaultNIC, families: families}},
		open: true,
	}, nil
}

func listed(key string, names []string) []named {
	out := make([]named, len(names))
	for i, name := range names {
		out[i] = named{pool: name, at: fmt.Sprintf("%s[%d]", key, i)}
	}
	return out
}

// defaultPools returns the pools with spec.default, the one with most free addresses first. Counters of a cache are a moment old:
// this is a preference, and whether an address is free the ledger decides.
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
