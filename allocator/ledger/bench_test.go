package ledger

import (
	"fmt"
	"testing"

	"spidernet.io/spiderpool/allocator"
)

// The time per reservation must not grow with the batch: what the caps bound, and why a pool is
// full, is counted once for all of it.
func BenchmarkReservationInABatch(b *testing.B) {
	var m memory
	m.add("p", "10.0.0.0/8", "10.1.0.1-10.1.255.254")
	m.add("full", "10.0.0.0/8", "10.2.0.1-10.2.15.254")
	for _, pool := range []string{"p", "full"} {
		p, err := m.Get(b.Context(), pool)
		if err != nil {
			b.Fatal(err)
		}
		s, err := Read(p)
		if err != nil {
			b.Fatal(err)
		}
		tx := begin(s, s.Space, nil, unused)
		for i := range 4094 {
			a, _ := tx.Pick()
			r := toCome(fmt.Sprintf("n%d", i%50), "")
			if i%2 == 0 {
				r.For = allocator.Identity{Namespace: r.Pod.Namespace, Kind: "K", Name: "web", Pod: fmt.Sprintf("web-%d", i)}
			}
			if err := tx.Record.Reserve(a, r); err != nil {
				b.Fatal(err)
			}
			if i%4 == 0 {
				if err := tx.Record.Settle(a, r.Token, 1); err != nil {
					b.Fatal(err)
				}
			}
		}
		s.Record = tx.Record
		for _, size := range []int{50, 500} {
			b.Run(fmt.Sprintf("%s/%d", pool, size), func(b *testing.B) {
				for b.Loop() {
					tx := begin(s, s.Space, nil, unused)
					for i := range size {
						w := attempt{allocationRequest: allocationRequest{reservation: toCome(fmt.Sprintf("m%d", i%50), "")}}
						if err := applyTo(tx, Change{Do: w.do, counts: true}); (err == nil) != (pool == "p") {
							b.Fatal(err)
						}
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/reservation")
			})
		}
	}
}
