package allocator_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/internal/reference"
)

func FuzzParseRange(f *testing.F) {
	for _, s := range []string{
		"10.0.0.1", "10.0.0.1-10.0.0.9", "10.0.0.9-10.0.0.3", "fc00::1-fc00::ff", "FC00::1", "::ffff:1.2.3.4", "fe80::1%eth0",
		"10.0.0.1-fc00::1", "10.0.0.01", "-", "10.0.0.1-", " 10.0.0.1", "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := allocator.ParseRange(s)
		if err != nil {
			if r.IsValid() {
				t.Fatalf("%q: both %v and %v", s, r, err)
			}
			return
		}
		first, last := r.From(), r.To()
		if s != first.String()+"-"+last.String() && (s != first.String() || first != last) {
			t.Fatalf("%q read as %v", s, r)
		}
		if last.Less(first) || first.Is4() != last.Is4() || first.Is4In6() || last.Is4In6() || first.Zone()+last.Zone() != "" {
			t.Fatalf("%q accepted as %v", s, r)
		}
		space, err := allocator.NewSpace(ranges(s), nil)
		if err != nil {
			t.Fatal(err)
		}
		// Only a range over IPv4-mapped addresses may be given less than it says.
		if n := space.Size(); n == 0 || n > math.MaxInt64 || !space.Contains(first) || !space.Contains(last) {
			t.Fatalf("%q: %d addresses", s, n)
		}
	})
}

func FuzzParseSet(f *testing.F) {
	for _, s := range []string{
		"172.18.41.40-44,50", "172.18.0.0-172.18.255.255", "10.0.0.0-255\n10.0.1.0-255", "fc00::0-5,a", "fc00::-5", "fc00::1200-1205,12ff",
		"fc00::0-fc00::1ff", "10.0.0.5,4", "10.0.0.1,1", "10.0.0.4-2", "10.0.0.1\nfc00::1", "10.0.1.1\n10.0.0.1", "0.0.0.0-255.255.255.255",
		"::0-::ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fe00-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "", "10.0.0.1-",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		lines := strings.Split(s, "\n")
		set, err := allocator.ParseSet(lines)
		if err != nil {
			return
		}
		if diff := cmp.Diff(lines, set.Lines()); diff != "" {
			t.Fatalf("written differently (-read +written):\n%s", diff)
		}
		if set.Len() == 0 || set.Len() > allocator.MaxAddresses {
			t.Fatalf("%d addresses", set.Len())
		}
		if set.Len() > 1<<12 {
			return // the reference is slow
		}
		want := reference.Expand(lines)
		if got := slices.Collect(set.All()); !slices.Equal(got, want) {
			t.Fatalf("read as %v, want %v", got, want)
		}
		for _, a := range want {
			if !set.Contains(a) {
				t.Fatalf("lost %s", a)
			}
		}
	})
}

func FuzzDecode(f *testing.F) {
	const token, other = "abcdefghijklmnop", "2222222222222222"
	f.Add("10.0.0.1-4", "10.0.0.5 "+token+" default", "default/StatefulSet.apps/web -: -0=10.0.0.6+"+other, "10.0.0.7 node1 2026-11-23T10:00:00Z", "7", "")
	f.Add("fc00::0-fc00::1ff", "fc00::200 "+token+" default/web-x 77aa", "", "fc00::201 - 2026-11-23T10:00:00Z", "", "term")
	f.Add("", "", "a/Bare/w 1: -0=10.0.0.6 w2=10.0.0.2\na/Bare/w 2: -1=10.0.0.7", "", "", "")
	f.Add("10.0.0.1", "10.0.0.1 "+token+" default", "", "", "", "")
	f.Add("", "10.0.0.1 "+token+" default\n10.0.0.2 "+token+" default", "", "", "01", "")
	f.Add("", "", "a/Bare/w -: w-0=10.0.0.6\n", "10.0.0.7  2026-11-23T10:00:00.5+01:00", "", "")
	f.Fuzz(func(t *testing.T, settled, reserved, retained, held, mark, term string) {
		text := allocator.Encoded{
			Settled: split(settled), Reserved: split(reserved), Retained: split(retained), Held: split(held), PodsSeenThrough: mark, Term: term,
		}
		r, err := allocator.Decode(text)
		if err != nil {
			if r != nil {
				t.Fatalf("both a record and %v", err)
			}
			return
		}
		if diff := cmp.Diff(text, r.Encode(), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("written differently (-read +written):\n%s", diff)
		}
		c := r.Counts()
		if c.Settled+c.Reserved+c.Retained+c.Held != r.Count() {
			t.Fatalf("sets not disjoint: %s, together %d", c, r.Count())
		}
		for a, v := range r.Reserved() {
			if at, ok := r.ByToken(v.Token); !ok || at != a || r.State(a) != allocator.StateReserved {
				t.Fatalf("%s: token %s stands at %v, state %v", a, v.Token, at, r.State(a))
			}
		}
		for a, v := range r.Retained() {
			if at, ok := r.ByIdentity(v.Identity); !ok || at != a || r.State(a) != allocator.StateRetained {
				t.Fatalf("%s: %s stands at %v, state %v", a, v.Identity, at, r.State(a))
			}
		}
	})
}

func split(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}
