package ledger

import (
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go4.org/netipx"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

func compare(t *testing.T, r *prometheus.Registry, want string, names ...string) {
	t.Helper()
	if err := testutil.GatherAndCompare(r, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

func TestWritesAreCountedByResult(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var m memory
		m.add("p", "10.1.0.0/24", "10.1.0.1-10.1.0.254")
		registry := prometheus.NewRegistry()
		l := New(Options{API: &m, Pools: &m, Metrics: NewMetrics(registry)})
		compare(t, registry, `
# HELP spiderpool_ledger_writes_total Writes of pool status by result: stored, conflict, or error where the outcome was not known at once.
# TYPE spiderpool_ledger_writes_total counter
spiderpool_ledger_writes_total{result="conflict"} 0
spiderpool_ledger_writes_total{result="error"} 0
spiderpool_ledger_writes_total{result="stored"} 0
`, "spiderpool_ledger_writes_total")

		broken := []error{errors.New("the line broke")}
		m.before = func(write int) {
			if write == 1 {
				m.edit("p", func(p *crdv1.SpiderIPPool) { p.Labels = map[string]string{"foreign": "write"} })
			}
		}
		l.o.API = flaky{&m, func() (err error) {
			if m.writes > 0 && len(broken) > 0 {
				err, broken = broken[0], nil
			}
			return err
		}}
		var wg sync.WaitGroup
		for range 3 { // they share one write
			wg.Go(func() {
				r := toCome("default", "")
				change := Change{Patience: time.Second, Do: func(tx *Tx) error {
					a, _ := tx.Pick()
					return tx.Record.Reserve(a, r)
				}}
				if err := l.Apply(t.Context(), "p", change); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		compare(t, registry, `
# HELP spiderpool_ledger_batch_size Changes that shared one stored write of pool status.
# TYPE spiderpool_ledger_batch_size histogram
spiderpool_ledger_batch_size_bucket{le="1"} 0
spiderpool_ledger_batch_size_bucket{le="2"} 0
spiderpool_ledger_batch_size_bucket{le="4"} 1
spiderpool_ledger_batch_size_bucket{le="8"} 1
spiderpool_ledger_batch_size_bucket{le="16"} 1
spiderpool_ledger_batch_size_bucket{le="32"} 1
spiderpool_ledger_batch_size_bucket{le="64"} 1
spiderpool_ledger_batch_size_bucket{le="128"} 1
spiderpool_ledger_batch_size_bucket{le="256"} 1
spiderpool_ledger_batch_size_bucket{le="512"} 1
spiderpool_ledger_batch_size_bucket{le="+Inf"} 1
spiderpool_ledger_batch_size_sum 3
spiderpool_ledger_batch_size_count 1
# HELP spiderpool_ledger_writes_total Writes of pool status by result: stored, conflict, or error where the outcome was not known at once.
# TYPE spiderpool_ledger_writes_total counter
spiderpool_ledger_writes_total{result="conflict"} 1
spiderpool_ledger_writes_total{result="error"} 1
spiderpool_ledger_writes_total{result="stored"} 1
`)
	})
}

func TestPoolsTellTheirAddressesBySet(t *testing.T) {
	t.Parallel()
	var m memory
	m.add("p", "10.1.0.0/24", "10.1.0.1-10.1.0.10")
	m.add("broken", "10.1.1.0/24", "10.1.1.1-10.1.1.10")
	m.edit("broken", func(p *crdv1.SpiderIPPool) { p.Status.Settled = []string{"10.1.1.1-"} })

	var r allocator.Record
	one := func(n byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 1, 0, n}) }
	kept := toCome("default", "")
	kept.For = allocator.Identity{Namespace: "default", Group: "apps", Kind: "StatefulSet", Name: "web", Pod: "web-0"}
	err := errors.Join(
		r.Reserve(one(1), kept), r.Settle(one(1), kept.Token, 1),
		r.PutBack(one(2), 1, allocator.Identity{}, ""), r.PutBack(one(3), 1, allocator.Identity{}, ""),
		r.PutBack(one(4), 1, allocator.Identity{}, ""), r.Hold(one(4), allocator.Hold{Node: "n", Since: time.Unix(1, 0)}),
		r.Reserve(one(5), toCome("default", "")),
	)
	if err != nil {
		t.Fatal(err)
	}
	m.edit("p", func(p *crdv1.SpiderIPPool) {
		tx := Tx{State: &State{}, Record: &r, Conditions: p.Status.Conditions, WaitedFor: true}
		p.Status = tx.status(r.Encode())
	})
	version, never := uint64(1), []netipx.IPRange{netipx.IPRangeFrom(one(10), one(10))}
	registry := prometheus.NewRegistry()
	collector := NewPoolCollector(&m, Options{Decoder: &Decoder{}, ReservedRanges: func() ([]netipx.IPRange, uint64) { return never, version }})
	registry.MustRegister(collector)
	want := `
# HELP spiderpool_pool_addresses Addresses of a pool by set: total; free, which may be handed out; settled, reserved, retained and held, which are taken and add up; and of the retained ones retained_pending, retained_in_use and retained_held, the others being unassigned.
# TYPE spiderpool_pool_addresses gauge
spiderpool_pool_addresses{pool="p",set="free"} 4
spiderpool_pool_addresses{pool="p",set="held"} 1
spiderpool_pool_addresses{pool="p",set="reserved"} 1
spiderpool_pool_addresses{pool="p",set="retained"} 1
spiderpool_pool_addresses{pool="p",set="retained_held"} 0
spiderpool_pool_addresses{pool="p",set="retained_in_use"} 1
spiderpool_pool_addresses{pool="p",set="retained_pending"} 0
spiderpool_pool_addresses{pool="p",set="settled"} 2
spiderpool_pool_addresses{pool="p",set="total"} 10
# HELP spiderpool_pool_waited_for 1 while pods wait for an address of the pool, else 0.
# TYPE spiderpool_pool_waited_for gauge
spiderpool_pool_waited_for{pool="p"} 1
`
	compare(t, registry, want)
	version, never = 2, nil
	compare(t, registry, strings.Replace(want, `set="free"} 4`, `set="free"} 5`, 1))

	m.edit("p", func(p *crdv1.SpiderIPPool) { p.Status.Held, p.Status.WaitedFor = nil, false })
	want = strings.NewReplacer(`set="free"} 4`, `set="free"} 6`, `set="held"} 1`, `set="held"} 0`, `for{pool="p"} 1`, `for{pool="p"} 0`).Replace(want)
	compare(t, registry, want)

	// What has the same version is not read again.
	m.mu.Lock()
	m.pools["p"] = m.pools["p"].DeepCopy()
	m.pools["p"].Status.Reserved = []string{"unreadable"}
	m.mu.Unlock()
	compare(t, registry, want)

	m.mu.Lock()
	delete(m.pools, "p")
	m.mu.Unlock()
	compare(t, registry, "")
}
