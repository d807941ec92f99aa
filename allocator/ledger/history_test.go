package ledger

import (
	"errors"
	"testing"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

func TestAnAPIServerThatWentBackIsWrittenNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		restore func(*crdv1.SpiderIPPool)
	}{
		"the same pool":     {func(*crdv1.SpiderIPPool) {}},
		"its predecessor's": {func(p *crdv1.SpiderIPPool) { p.UID = "another" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var m memory
			m.add("p", "10.1.0.0/24", "10.1.0.1-10.1.0.254")
			m.add("other", "10.1.1.0/24", "10.1.1.1-10.1.1.254")
			backup := m.state(t, "p").Pool
			c.restore(backup)

			var told []error
			l := New(Options{API: &m, Pools: &m, OnClusterRestored: func(err error) { told = append(told, err) }})
			reserve := func(pool string) error {
				_, err := l.Reserve(t.Context(), toCome("default", ""), slots([]string{pool}))
				return err
			}
			// The watch keeps showing what was there before.
			l.o.Pools = frozen{m.state(t, "p").Pool}
			for range 3 {
				if err := reserve("p"); err != nil {
					t.Fatal(err)
				}
			}
			if err := reserve("other"); err != nil {
				t.Fatal(err)
			}
			m.mu.Lock()
			m.pools["p"] = backup
			m.mu.Unlock()
			writes := m.writes

			err := reserve("p")
			var history *ClusterRestoredError
			if !errors.As(err, &history) || history.Name != "p" || history.Known <= history.Read {
				t.Fatalf("reserving after the restore: %v", err)
			}
			if len(told) != 1 || !errors.Is(told[0], history) {
				t.Errorf("told %v, want once what the caller was told", told)
			}
			for _, pool := range []string{"p", "other"} {
				if err := reserve(pool); !errors.As(err, &history) {
					t.Errorf("reserving from pool %q afterwards: %v", pool, err)
				}
			}
			if len(told) != 1 {
				t.Errorf("told %d times", len(told))
			}
			if m.writes != writes+1 || m.pools["p"] != backup { // one that broke its precondition
				t.Errorf("%d writes after the restore", m.writes-writes)
			}
		})
	}
}

// frozen is a watch that has stopped.
type frozen struct{ pool *crdv1.SpiderIPPool }

func (f frozen) Pool(name string) (*crdv1.SpiderIPPool, bool) { return f.pool, name == f.pool.Name }
