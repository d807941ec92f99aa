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
	f.Add("fc00::0-fc00::1ff", "fc00::200 "+token+" default/web-x 77aa", "", "fc00::201 - 2026-11-23T10:00:00Z 60s", "", "term")
	f.Add("", "10.0.0.1 "+token+" default by:rqkmtdcs grace:3600s for:StatefulSet.apps/web/web-0 of:5e1f", "", "", "", "")
	f.Add("", "10.0.0.1 "+token+" default/web-0 77aa for:Bare/web/web-0", "default/Bare/web -: -1=10.0.0.6", "", "", "")
	f.Add("", "", "a/Bare/w 1: -0=10.0.0.6* w2=10.0.0.2\na/Bare/w 2: -1=10.0.0.7+"+token+"/77aa~60s -2=10.0.0.8@-@2026-11-23T10:00:00Z~3600s", "", "", "")
	f.Add("", "", "a/Bare.x/w -: -0=fc00::6@node1@2026-11-23T10:00:00Z -1=fc00::7* -2=fc00::8+"+token+"~31s", "", "", "")
	f.Add("", "10.0.0.1 "+token+" default\n10.0.0.2 "+token+" default nic:net1", "a/Bare/w -: -0=10.0.0.6* -0/net1=10.0.0.7+"+other, "", "", "")
	f.Add("", "10.0.0.1 "+token+" default nic:eth0", "a/Bare/w -: -0/=10.0.0.6 -1/eth0=10.0.0.7", "", "", "")
	f.Add("", "", "a/Bare/w -: -0=10.0.0.6@node1@2026-11-23T10:00:00Z@2026-11-23T10:01:30Z~3600s", "10.0.0.7 node1 2026-11-23T10:00:00Z 3600s pod:shop/web-x until:2026-11-23T11:01:00Z\n10.0.0.8 - 2026-11-23T10:00:00Z pod:shop/-", "", "")
	f.Add("", "", "a/Bare/w -: -0=10.0.0.6@node1@2026-11-23T10:00:00Z@", "10.0.0.7 node1 2026-11-23T10:00:00Z until:0001-01-01T00:00:00Z pod:/", "", "")
	f.Add("10.0.0.1", "10.0.0.1 "+token+" default", "", "", "", "")
	f.Add("", "10.0.0.1 "+token+" default\n10.0.0.2 "+token+" default", "", "", "01", "")
	f.Add("", "10.0.0.1 "+token+" default grace:30s by:x", "a/Bare/w -: w-0=10.0.0.6**\n", "10.0.0.7  2026-11-23T10:00:00.5+01:00 ~60s", "", "")
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
		if c.PendingAdmission+c.RetainedInUse+c.RetainedHeld > c.Retained {
			t.Fatalf("%+v", c)
		}
		if c.Settled+c.Reserved+c.Retained+c.Held != r.Count() {
			t.Fatalf("sets not disjoint: %s, together %d", c, r.Count())
		}
		for a, v := range r.Awaited() {
			if at, ok := r.ByToken(v.Token, v.NIC); !ok || at != a || r.Use(a) != allocator.PendingAdmission {
				t.Fatalf("%s: token %s stands at %v, use %v", a, v.Token, at, r.Use(a))
			}
			if at, ok := r.ByIdentity(v.For); ok != (v.For != allocator.Identity{}) || ok && at != a {
				t.Fatalf("%s: for %s, which stands at %v", a, v.For, at)
			}
			if err := r.Clone().Reserve(a, v); err != nil {
				t.Fatalf("the same reservation again: %v", err)
			}
		}
		for a, v := range r.Retained() {
			if at, ok := r.ByIdentity(v.Identity); !ok || at != a || r.State(a) != allocator.StateRetained || r.Use(a) != v.Use {
				t.Fatalf("%s: %s stands at %v, state %v, use %v", a, v.Identity, at, r.State(a), r.Use(a))
			}
		}
		emptied(t, r)
	})
}

// emptied takes out everything that a text says, with nothing left.
func emptied(t *testing.T, r *allocator.Record) {
	t.Helper()
	if r.Count() > 1<<12 {
		return
	}
	for _, a := range slices.Collect(r.Taken().All()) {
		var err error
		v, _ := r.AwaitedAt(a)
		switch r.Use(a) {
		case allocator.InUse:
			err = r.Release(a)
		case allocator.PendingAdmission:
			err = r.GiveBack(a, v.Token)
		case allocator.Held:
			err = r.Unhold(a)
		case allocator.Unassigned:
		}
		if k, ok := r.RetainedAt(a); err == nil && ok {
			err = r.FreeRetained(a, k.Identity)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	want := allocator.Encoded{PodsSeenThrough: r.Encode().PodsSeenThrough, Term: r.Term()}
	if diff := cmp.Diff(want, r.Encode(), cmpopts.EquateEmpty()); diff != "" || r.Count() != 0 {
		t.Fatalf("%d left (-want +got):\n%s", r.Count(), diff)
	}
}

func split(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}
