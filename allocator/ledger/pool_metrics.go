package ledger

import (
	"iter"

	"github.com/prometheus/client_golang/prometheus"
	"go4.org/netipx"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

var (
	poolAddresses = prometheus.NewDesc("spiderpool_pool_addresses",
		"Addresses of a pool by set: total; free, which may be handed out; settled, reserved, retained and held, which are taken and add up; "+
			"and of the retained ones retained_pending, retained_in_use and retained_held, the others being unassigned.",
		[]string{"pool", "set"}, nil)
	poolWaitedFor = prometheus.NewDesc("spiderpool_pool_waited_for",
		"1 while pods wait for an address of the pool, else 0.",
		[]string{"pool"}, nil)
)

// AllPools are pools that nobody changes: a *Watched.
type AllPools interface {
	All() iter.Seq[*crdv1.SpiderIPPool]
}

// PoolCollector tells how full the pools are that a watch has shown. A pool that cannot be read is
// left out: a zero would be a lie.
type PoolCollector struct {
	pools    AllPools
	decoder  *Decoder
	reserved func() ([]netipx.IPRange, uint64)
}

var _ prometheus.Collector = (*PoolCollector)(nil)

// NewPoolCollector returns a collector of the pools of o; it uses its Decoder and ReservedRanges.
func NewPoolCollector(pools AllPools, o Options) *PoolCollector {
	o = o.complete()
	return &PoolCollector{pools: pools, decoder: o.Decoder, reserved: o.ReservedRanges}
}

// Describe implements prometheus.Collector.
func (*PoolCollector) Describe(descs chan<- *prometheus.Desc) {
	descs <- poolAddresses
	descs <- poolWaitedFor
}

// Collect implements prometheus.Collector.
func (c *PoolCollector) Collect(metrics chan<- prometheus.Metric) {
	reserved, _ := c.reserved()
	for pool := range c.pools.All() {
		state, err := c.decoder.Read(pool)
		if err != nil {
			continue
		}
		taken := state.Record.Counts()
		for set, value := range map[string]uint64{ // label -> addresses
			"total": state.Space.Size(), "free": allocator.Free(state.Free().Without(reserved), state.Record),
			"settled": uint64(taken.Settled), "reserved": uint64(taken.Reserved), "retained": uint64(taken.Retained), "held": uint64(taken.Held),
			"retained_pending": uint64(taken.PendingAdmission), "retained_in_use": uint64(taken.RetainedInUse), "retained_held": uint64(taken.RetainedHeld),
		} {
			metrics <- prometheus.MustNewConstMetric(poolAddresses, prometheus.GaugeValue, float64(value), pool.Name, set)
		}
		waited := 0.
		if pool.Status.WaitedFor {
			waited = 1
		}
		metrics <- prometheus.MustNewConstMetric(poolWaitedFor, prometheus.GaugeValue, waited, pool.Name)
	}
}
