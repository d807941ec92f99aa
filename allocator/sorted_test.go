package allocator

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

type number int

func (n number) Compare(o number) int { return int(n - o) }

// Enough entries for many pages, with a clone left behind at random: it must keep what it had.
func TestSortedAgreesWithAMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var s, left sorted[number, int]
		want, wantLeft := map[number]int{}, map[number]int{}
		if n := rapid.IntRange(0, 500).Draw(t, "start"); n > 0 {
			var start []entry[number, int]
			for i := range n {
				start = append(start, entry[number, int]{number(2 * i), i})
				want[number(2*i)] = i
			}
			s = newSorted(start)
		}
		steps := rapid.SliceOfN(rapid.IntRange(-1, 1200), 1, 300).Draw(t, "steps")
		for i, step := range steps {
			switch k := number(step); {
			case step < 0:
				left, wantLeft = s.clone(), maps.Clone(want)
			case step%3 == 0:
				s.remove(k)
				delete(want, k)
			default:
				s.put(k, i)
				want[k] = i
			}
		}
		agrees(t, &s, want)
		agrees(t, &left, wantLeft)
	})
}

func agrees(t *rapid.T, s *sorted[number, int], want map[number]int) {
	t.Helper()
	if got := maps.Collect(s.all()); !maps.Equal(got, want) || s.size != len(want) {
		t.Fatalf("%d entries %v, want %v", s.size, got, want)
	}
	var order []number
	for k := range s.all() {
		order = append(order, k)
	}
	if !slices.IsSorted(order) {
		t.Fatalf("not ascending: %v", order)
	}
	for k := number(-1); k < 1201; k++ {
		got, ok := s.get(k)
		if v, want := want[k]; got != v || ok != want {
			t.Fatalf("%d: got %d %v, want %d %v", k, got, ok, v, want)
		}
	}
	for i, p := range s.pages {
		if len(p) == 0 || len(p) > pageSize {
			t.Fatalf("page %d has %d entries", i, len(p))
		}
	}
}
