package allocator_test

import (
	"math"
	"net/netip"
	"testing"
	"time"

	"spidernet.io/spiderpool/allocator"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func settled(lines ...string) *allocator.Record {
	return must(allocator.Decode(allocator.Encoded{Settled: lines}))
}

func TestPick(t *testing.T) {
	t.Parallel()
	type gaveBack struct {
		addr string
		ago  time.Duration
	}
	for name, tc := range map[string]struct {
		space  []string
		taken  []string
		recent []gaveBack // oldest first
		veto   string
		want   string // empty: none
	}{
		"the lowest":                         {space: []string{"10.0.0.9", "10.0.0.4-10.0.0.6"}, want: "10.0.0.4"},
		"the lowest that is free":            {space: []string{"10.0.0.4-10.0.0.9"}, taken: []string{"10.0.0.4-5,8"}, want: "10.0.0.6"},
		"none of an empty space":             {},
		"none where all are taken":           {space: []string{"10.0.0.4-10.0.0.5"}, taken: []string{"10.0.0.0-255"}},
		"behind full chunks":                 {space: []string{"10.0.0.0-10.0.9.255"}, taken: []string{"10.0.0.0-10.0.2.255", "10.0.3.0-7"}, want: "10.0.3.8"},
		"between full chunks":                {space: []string{"10.0.0.0-10.0.9.255"}, taken: []string{"10.0.0.0-255", "10.0.2.0-255"}, want: "10.0.1.0"},
		"in the next range":                  {space: []string{"10.0.0.4", "10.0.0.9"}, taken: []string{"10.0.0.4"}, want: "10.0.0.9"},
		"in the next range of a taken chunk": {space: []string{"10.0.0.4-10.0.1.3", "10.0.1.9"}, taken: []string{"10.0.0.0-255", "10.0.1.0-5"}, want: "10.0.1.9"},
		"a vetoed one is passed over":        {space: []string{"10.0.0.4-10.0.0.9"}, veto: "10.0.0.4", want: "10.0.0.5"},
		"none where all are vetoed":          {space: []string{"10.0.0.4"}, veto: "10.0.0.4"},
		"one given back rests":               {space: []string{"10.0.0.4-10.0.0.9"}, recent: []gaveBack{{"10.0.0.4", 59 * time.Second}}, want: "10.0.0.5"},
		"for a minute":                       {space: []string{"10.0.0.4-10.0.0.9"}, recent: []gaveBack{{"10.0.0.4", time.Minute}}, want: "10.0.0.4"},
		"where all rest, the longest": {
			space: []string{"10.0.0.4-10.0.0.6"}, recent: []gaveBack{{"10.0.0.5", 9 * time.Second}, {"10.0.0.6", 8 * time.Second}, {"10.0.0.4", time.Second}}, want: "10.0.0.5",
		},
		"given back again rests anew": {
			space: []string{"10.0.0.4-10.0.0.5"}, recent: []gaveBack{{"10.0.0.4", 9 * time.Second}, {"10.0.0.5", 8 * time.Second}, {"10.0.0.4", time.Second}}, want: "10.0.0.5",
		},
		"given back again rests on when the first time is over": {
			space: []string{"10.0.0.4-10.0.0.6"}, recent: []gaveBack{{"10.0.0.4", 70 * time.Second}, {"10.0.0.4", 30 * time.Second}, {"10.0.0.5", time.Second}}, want: "10.0.0.6",
		},
		"a resting and taken one is taken":   {space: []string{"10.0.0.4"}, taken: []string{"10.0.0.4"}, recent: []gaveBack{{"10.0.0.4", time.Second}}},
		"a resting and vetoed one is vetoed": {space: []string{"10.0.0.4"}, veto: "10.0.0.4", recent: []gaveBack{{"10.0.0.4", time.Second}}},
		"the last of all addresses":          {space: []string{"255.255.255.0-255.255.255.255"}, taken: []string{"255.255.255.0-254"}, want: "255.255.255.255"},
		"none behind the last of all":        {space: []string{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}, taken: []string{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}},
		"over a hextet":                      {space: []string{"fc00::ffff:ffff:ffff:ff80-fc00:0:0:1::80"}, taken: []string{"fc00::ffff:ffff:ffff:ff80-ffff"}, want: "fc00:0:0:1::"},
		"the other family takes nothing":     {space: []string{"::a:0-::a:9"}, taken: []string{"0.10.0.0-9"}, want: "::a:0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var recent allocator.Recent
			for _, g := range tc.recent {
				recent.GaveBack(netip.MustParseAddr(g.addr), noon.Add(-g.ago))
			}
			veto := func(a netip.Addr) bool { return a.String() == tc.veto }
			space := must(allocator.NewSpace(ranges(tc.space...), nil))
			got, ok := allocator.Pick(space, settled(tc.taken...), &recent, veto, noon)
			if ok != (tc.want != "") || ok && got != netip.MustParseAddr(tc.want) {
				t.Errorf("got %v %v, want %q", got, ok, tc.want)
			}
		})
	}
}

func TestFree(t *testing.T) {
	t.Parallel()
	const slash64 = "fc00::-fc00::ffff:ffff:ffff:ffff"
	for name, tc := range map[string]struct {
		space, taken []string
		want         uint64
	}{
		"all":                               {space: []string{"10.0.0.0-10.0.1.9"}, want: 266},
		"less what is taken":                {space: []string{"10.0.0.0-10.0.1.9"}, taken: []string{"10.0.0.7-8", "10.0.1.0"}, want: 263},
		"what is taken elsewhere is not":    {space: []string{"10.0.0.4-10.0.0.5", "10.0.0.9-10.0.1.1"}, taken: []string{"9.0.0.1", "10.0.0.3-7,255", "10.0.1.0-255"}, want: 246},
		"none":                              {space: []string{"10.0.0.4"}, taken: []string{"10.0.0.0-255"}},
		"of nothing":                        {taken: []string{"10.0.0.0-255"}},
		"a /64 is more than can be counted": {space: []string{slash64}, taken: []string{"fc00::1-5"}, want: math.MaxInt64},
		"a /65 cannot be counted when it is empty": {space: []string{"fc00::-fc00::7fff:ffff:ffff:ffff"}, want: math.MaxInt64},
		"a /65 can when something is taken":        {space: []string{"fc00::-fc00::7fff:ffff:ffff:ffff"}, taken: []string{"fc00::1-5"}, want: math.MaxInt64 - 4},
		"the other family takes nothing":           {space: []string{"::a:0-::a:9"}, taken: []string{"0.10.0.0-9"}, want: 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := allocator.Free(must(allocator.NewSpace(ranges(tc.space...), nil)), settled(tc.taken...)); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

func TestPickNeedsNeitherMemoryNorVeto(t *testing.T) {
	t.Parallel()
	space := must(allocator.NewSpace(ranges("10.0.0.1"), nil))
	if a, ok := allocator.Pick(space, &allocator.Record{}, nil, nil, noon); !ok || a != netip.MustParseAddr("10.0.0.1") {
		t.Errorf("got %v %v", a, ok)
	}
}

// Beyond its bound Recent forgets the oldest, so a storm of releases costs a preference and no
// memory.
func TestRecentIsBounded(t *testing.T) {
	t.Parallel()
	var recent allocator.Recent
	first := netip.MustParseAddr("10.0.0.0")
	a := first
	for range 1 << 16 {
		recent.GaveBack(a, noon)
		a = a.Next()
	}
	both := must(allocator.NewSpace(ranges("10.0.0.0-10.0.0.1"), nil))
	if got, _ := allocator.Pick(both, &allocator.Record{}, &recent, nil, noon.Add(time.Second)); got != first {
		t.Errorf("got %s, want %s: both rest equally long", got, first)
	}
	recent.GaveBack(a, noon.Add(time.Second))
	one := must(allocator.NewSpace(ranges("10.0.0.1", "10.0.0.0"), nil))
	if got, _ := allocator.Pick(one, &allocator.Record{}, &recent, nil, noon.Add(time.Second)); got != first {
		t.Errorf("got %s, want %s, which is forgotten", got, first)
	}
}

// Counting allocations, not time, shows that nothing is expanded.
func TestHugeRangesCostWhatSmallOnesDo(t *testing.T) {
	small := ranges("10.0.0.1-10.0.0.9")
	smallExclude := ranges("10.0.0.4")
	wantSpace := testing.AllocsPerRun(100, func() { _, _ = allocator.NewSpace(small, smallExclude) })
	for name, tc := range map[string]struct{ include, exclude, taken string }{
		"a /10 half full":       {"10.0.0.0-10.63.255.255", "10.40.0.0", "10.0.0.0-10.31.255.255"},
		"all of IPv4":           {"0.0.0.0-255.255.255.255", "10.0.0.0", "0.0.0.0-0.255.255.255"},
		"an IPv6 /64":           {"fc00::-fc00::ffff:ffff:ffff:ffff", "fc00::ffff", "fc00::0-fc00::ffff"},
		"all of IPv6 but edges": {"::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", "fc00::", "::0-::ffff"},
	} {
		t.Run(name, func(t *testing.T) {
			include, exclude, r := ranges(tc.include), ranges(tc.exclude), settled(tc.taken)
			var space allocator.Space
			// IPv4-mapped addresses may cut one range more.
			if n := testing.AllocsPerRun(10, func() { space, _ = allocator.NewSpace(include, exclude) }); n > wantSpace+2 {
				t.Errorf("NewSpace: %v allocations, a small range takes %v", n, wantSpace)
			}
			addr := include[0].To()
			for what, f := range map[string]func(){
				"Pick":     func() { allocator.Pick(space, r, nil, nil, noon) },
				"Free":     func() { allocator.Free(space, r) },
				"Contains": func() { space.Contains(addr) },
				"Size":     func() { space.Size() },
				"Overlap":  func() { space.Overlap(space) },
			} {
				if n := testing.AllocsPerRun(10, f); n > 0 {
					t.Errorf("%s: %v allocations", what, n)
				}
			}
		})
	}
}
