package ledger

import (
	"iter"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"go4.org/netipx"
	"k8s.io/apimachinery/pkg/types"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

var (
	poolAddresses = prometheus.NewDesc("spiderpool_pool_addresses",
		"Addresses of a pool by set: total; free, which may be handed out; settled, reserved, retained and held, which are taken and add up; "+
			"and of the retained ones retained_promised, retained_in_use and retained_held, the others being vacant.",
		[]string{"pool", "set"}, nil)
	poolWaitedFor = prometheus.NewDesc("spiderpool_pool_waited_for",
		"1 while pods wait for an address of the pool, else 0.",
		[]string{"pool"}, nil)
)

// AllPools are pools that nobody changes: a *Watched.
type AllPools interface {
	All() iter.Seq[*crdv1.SpiderIPPool]
}

// PoolCollector tells how full the pools are that a watch has shown. A pool that
// cannot be read is left out: a zero would be a lie.
type PoolCollector struct {
	pools    AllPools
	reserved func() ([]netipx.IPRange, uint64)

	mu    sync.Mutex
	known map[types.UID]poolCount // pool -> what was counted last
}

var _ prometheus.Collector = (*PoolCollector)(nil)

// poolCount is one version of a pool, counted. To decode a large pool is dear,
// and most pools are the same from one scrape to the next.
type poolCount struct {
	version string // resourceVersion
	never   uint64
	ok      bool // it could be read
	free    uint64
	total   uint64
	taken   allocator.Counts
}

// NewPoolCollector returns a collector of the pools; never is that of Options.
func NewPoolCollector(pools AllPools, never func() ([]netipx.IPRange, uint64)) *PoolCollector {
	return &PoolCollector{pools: pools, reserved: Options{ReservedRanges: never}.complete().ReservedRanges}
}

// Describe implements prometheus.Collector.
func (*PoolCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- poolAddresses
	descs <- poolWaitedFor
}

// Collect implements prometheus.Collector.
func (c *PoolCollector) Collect(metrics chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := map[types.UID]poolCount{} // pool -> count
	never, version := c.reserved()
	for pool := range c.pools.All() {
		n, ok := c.known[pool.UID]
		if !ok || n.version != pool.ResourceVersion || n.never != version {
			n = countPool(pool, never)
			n.never = version
		}
		now[pool.UID] = n
		if !n.ok {
			continue
		}
		for set, value := range map[string]uint64{ // label -> addresses
			"total": n.total, "free": n.free, "settled": uint64(n.taken.Settled), "reserved": uint64(n.taken.Reserved),
			"retained": uint64(n.taken.Retained), "held": uint64(n.taken.Held), "retained_promised": uint64(n.taken.PendingAdmission),
			"retained_in_use": uint64(n.taken.RetainedInUse), "retained_held": uint64(n.taken.RetainedHeld),
		} {
			metrics <- prometheus.MustNewConstMetric(poolAddresses, prometheus.GaugeValue, float64(value), pool.Name, set)
		}
		waited := 0.
		if pool.Status.WaitedFor {
			waited = 1
		}
		metrics <- prometheus.MustNewConstMetric(poolWaitedFor, prometheus.GaugeValue, waited, pool.Name)
	}
	c.known = now
}

func countPool(pool *crdv1.SpiderIPPool, never []netipx.IPRange) poolCount {
	n := poolCount{version: pool.ResourceVersion}
	state, err := Read(pool)
	if err != nil {
		return n
	}
	n.ok, n.total, n.taken = true, state.Space.Size(), state.Record.Counts()
	n.free = allocator.Free(state.Space.Without(never), state.Record)
	return n
}
