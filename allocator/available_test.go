package allocator

import (
	"net/netip"
	"testing"
	"time"

	"go4.org/netipx"
	"pgregory.net/rapid"
)

// What is counted is what Pick gives, one after the other.
func TestAvailableIsWhatPickGives(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		first := netip.MustParseAddr(rapid.SampledFrom([]string{"10.0.0.250", "fd00::fa"}).Draw(t, "first"))
		size := rapid.IntRange(1, 20).Draw(t, "size") // across the border of a chunk
		last, taken, vetoed := first, map[netip.Addr]bool{}, map[netip.Addr]bool{}
		var record Record
		for a, i := first, 0; i < size; a, i = a.Next(), i+1 {
			last = a
			vetoed[a] = rapid.Bool().Draw(t, "vetoed")
			if taken[a] = rapid.Bool().Draw(t, "taken"); !taken[a] {
				continue
			}
			if err := record.Reserve(a, Reservation{Token: NewToken(), Pod: PodRef{Namespace: "ns"}}); err != nil {
				t.Fatal(err)
			}
		}
		space, err := NewSpace([]netipx.IPRange{netipx.IPRangeFrom(first, last)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		veto := func(a netip.Addr) bool { return vetoed[a] }
		limit := rapid.IntRange(0, 25).Draw(t, "limit")
		got := Available(space, &record, veto, limit)
		want := 0
		for range limit {
			a, ok := Pick(space, &record, nil, veto, time.Now())
			if !ok {
				break
			}
			want++
			if err := record.Reserve(a, Reservation{Token: NewToken(), Pod: PodRef{Namespace: "ns"}}); err != nil {
				t.Fatal(err)
			}
		}
		if got != want {
			t.Errorf("%d are available, want %d", got, want)
		}
	})
}
