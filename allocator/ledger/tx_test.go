package ledger

import (
	"errors"
	"math"
	"testing"

	"go4.org/netipx"

	"spidernet.io/spiderpool/allocator"
)

func TestEachWriteCountsWhatIsFree(t *testing.T) {
	t.Parallel()
	space := func(t *testing.T, text string) allocator.Space {
		t.Helper()
		r, err := allocator.ParseRange(text)
		if err != nil {
			t.Fatal(err)
		}
		s, err := allocator.NewSpace([]netipx.IPRange{r}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for name, c := range map[string]struct {
		subnet, ips          string
		inService            string // empty: all
		taken                int    // of the lowest
		want                 int64
		wantTotal, wantTaken int64
	}{
		"nothing taken":              {subnet: "10.1.0.0/24", ips: "10.1.0.1-10.1.0.9", want: 9, wantTotal: 9},
		"some taken":                 {subnet: "10.1.0.0/24", ips: "10.1.0.1-10.1.0.9", taken: 4, want: 5, wantTotal: 9, wantTaken: 4},
		"all taken":                  {subnet: "10.1.0.0/24", ips: "10.1.0.1-10.1.0.4", taken: 4, wantTotal: 4, wantTaken: 4},
		"gained and not judged":      {subnet: "10.1.0.0/24", ips: "10.1.0.1-10.1.0.9", inService: "10.1.0.1-10.1.0.6", taken: 4, want: 2, wantTotal: 9, wantTaken: 4},
		"in service and not in spec": {subnet: "10.1.0.0/24", ips: "10.1.0.1-10.1.0.4", inService: "10.1.0.1-10.1.0.9", taken: 3, want: 1, wantTotal: 4, wantTaken: 3},
		"an IPv6 /64": {
			subnet: "fc00::/64", ips: "fc00::-fc00::ffff:ffff:ffff:ffff", taken: 1, want: math.MaxInt64, wantTotal: math.MaxInt64, wantTaken: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var m memory
			m.add("p", c.subnet, c.ips)
			l := New(Options{API: &m, Pools: &m})
			err := l.Apply(t.Context(), "p", Change{Do: func(tx *Tx) error {
				var errs []error
				for range c.taken {
					a, _ := tx.Pick()
					errs = append(errs, tx.Record.Reserve(a, toCome("default", "")))
				}
				if tx.InService = tx.Space; c.inService != "" {
					tx.InService = space(t, c.inService)
				}
				return errors.Join(errs...)
			}})
			if err != nil {
				t.Fatal(err)
			}
			s := m.state(t, "p").Pool.Status
			for what, n := range map[string]struct {
				got  *int64
				want int64
			}{"free": {s.FreeIPCount, c.want}, "total": {s.TotalIPCount, c.wantTotal}, "taken": {s.AllocatedIPCount, c.wantTaken}} {
				if n.got == nil || *n.got != n.want {
					t.Errorf("%s: the status counts %v, want %d", what, n.got, n.want)
				}
			}
		})
	}
}
