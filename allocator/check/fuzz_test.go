package check

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"go4.org/netipx"
	"pgregory.net/rapid"

	"spidernet.io/spiderpool/admission"
	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/ledger"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// FuzzRecord compares readRecord with the engine's Decode. The package comment lists how they may
// differ.
func FuzzRecord(f *testing.F) {
	add := func(s *crdv1.IPPoolStatus) {
		j := func(lines []string) string { return strings.Join(lines, "\n") }
		f.Add(j(s.Settled), j(s.Reserved), j(s.Retained), j(s.Held), s.PodsSeenThrough, s.LongestGrace, s.Term)
	}
	add(written())
	for _, s := range []crdv1.IPPoolStatus{
		{Settled: []string{"fc00::0-fc00::1ff"}, Held: []string{"fc00::201 - 2026-11-23T10:00:00Z 60s"}},
		{Settled: []string{"fc00::-5"}}, {Settled: []string{"0.0.0.0-255.255.255.255"}}, {Settled: []string{"10.0.0.4-2"}, Term: "x"},
		{Settled: []string{"10.0.0.0-255", "10.0.1.0-255"}}, {Settled: []string{"::0-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}},
		{Reserved: []string{"10.0.0.1 " + tokenA + " shop/db-0 77aa for:Bare/db/db-0"}, Retained: []string{"shop/Bare/db -: -1=10.0.0.6"}},
		{Reserved: []string{"10.0.0.1 " + tokenA + " shop", "10.0.0.2 " + tokenA + " shop"}, PodsSeenThrough: "01"},
		{Retained: []string{"a/Bare.x/w -: -0=fc00::6@node1@2026-11-23T10:00:00Z -1=fc00::7* -2=fc00::8+" + tokenA + "~31s"}},
		{Retained: []string{"a/Bare/w -: w-0=10.0.0.6**"}, Held: []string{"10.0.0.7  2026-11-23T10:00:00.5+01:00 ~60s"}},
		{Held: []string{"10.0.0.7 node1 2026-11-23T10:00:00Z 60s pod:shop/db-0 until:2026-11-23T10:02:00Z", "10.0.0.8 - 2026-11-23T10:00:00Z pod:shop/-"}},
		{Held: []string{"10.0.0.7 node1 2026-11-23T10:00:00Z until:0001-01-01T00:00:00Z", "10.0.0.8 - 2026-11-23T10:00:00Z pod:/"}},
		{Retained: []string{"a/Bare/w -: -0=10.0.0.6@node1@2026-11-23T10:00:00Z@2026-11-23T10:01:30Z~31s"}},
		{Retained: []string{"a/Bare/w 1: -0=10.0.0.6 -0=10.0.0.7", "a/Bare/w 2: -0=10.0.0.8"}, LongestGrace: "31s"},
	} {
		add(&s)
	}
	f.Fuzz(func(t *testing.T, settled, reserved, retained, held, seen, grace, term string) {
		agree(t, &crdv1.IPPoolStatus{
			Settled: lines(settled), Reserved: lines(reserved), Retained: lines(retained), Held: lines(held),
			PodsSeenThrough: seen, LongestGrace: grace, Term: term,
		})
	})
}

func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// failer is a testing.T or a rapid.T.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// agree reads a status with both.
func agree(t failer, s *crdv1.IPPoolStatus) {
	t.Helper()
	got, gotErr := readRecord(s)
	theirs, theirErr := allocator.Decode(allocator.Encoded{
		Settled: s.Settled, Reserved: s.Reserved, Retained: s.Retained, Held: s.Held,
		PodsSeenThrough: s.PodsSeenThrough, LongestGrace: s.LongestGrace, Term: s.Term,
	})
	switch {
	case theirErr != nil && gotErr != nil:
	case theirErr != nil:
		if !sharesAName(got) {
			t.Fatalf("%+v\nis read, and the engine refuses it: %v", s, theirErr)
		}
	case gotErr != nil:
		if theirs.Count() <= mostRecorded {
			t.Fatalf("%+v\nis refused, and the engine reads it: %v", s, gotErr)
		}
	default:
		if diff := difference(theirs, got); diff != "" {
			t.Fatalf("%+v\nis read in two ways (-engine +here):\n%s", s, diff)
		}
	}
}

// sharesAName reports whether a token or an identity has several addresses.
func sharesAName(r *record) bool {
	seen := map[any]bool{} // token or identity -> seen before
	for _, e := range r.entries {
		var names []any
		if e.awaits != nil {
			names = append(names, e.awaits.token)
		}
		switch {
		case e.kept != nil:
			names = append(names, identity{Owner: e.kept.Owner, pod: e.kept.pod})
		case e.awaits != nil && e.awaits.kept != (identity{}):
			names = append(names, identity{Owner: e.awaits.kept.Owner, pod: e.awaits.kept.pod})
		}
		for _, n := range names {
			if seen[n] {
				return true
			}
			seen[n] = true
		}
	}
	return false
}

// difference says how the engine's record differs.
func difference(theirs *allocator.Record, got *record) string {
	if n := theirs.Count(); int64(n) != got.count() {
		return fmt.Sprintf("-%d addresses\n+%d addresses", n, got.count())
	}
	want := record{settled: &netipx.IPSet{}, entries: entriesOf(theirs), seenThrough: theirs.SeenThrough(), longestGrace: theirs.LongestGrace(), term: theirs.Term()}
	said := *got
	said.settled, said.entries = want.settled, slices.Clone(got.entries)
	for i := range said.entries {
		said.entries[i].place = place{}
	}
	diff := gocmp.Diff(want, said, gocmp.AllowUnexported(record{}, entry{}, place{}, identity{}, reservation{}, hold{}), gocmp.Comparer(sameAddress))
	if diff != "" || theirs.Settled().Len() > 1<<12 {
		return diff // of very many entries the number is enough
	}
	for a := range theirs.Settled().All() {
		if !got.settled.Contains(a) {
			return fmt.Sprintf("-%s is settled", a)
		}
	}
	return ""
}

func sameAddress(a, b netip.Addr) bool { return a == b }

// entriesOf converts the engine's record.
func entriesOf(r *allocator.Record) []entry {
	all := map[netip.Addr]entry{} // address -> its entry
	for a, v := range r.Retained() {
		id := identityOf(v.Identity, v.OwnerUID)
		all[a] = entry{addr: a, kept: &id, inUse: v.InUse()}
	}
	for a, v := range r.Awaited() {
		e := all[a]
		e.addr, e.awaits = a, &reservation{
			token: string(v.Token), namespace: v.Pod.Namespace, name: v.Pod.Name, uid: v.Pod.UID, digest: v.Owner, grace: v.Grace,
			kept: identityOf(v.For, v.ForUID),
		}
		all[a] = e
	}
	for a, v := range r.AllHeld() {
		e := all[a]
		e.addr, e.held = a, &hold{node: v.Node, since: v.Since, grace: v.Grace, namespace: v.Pod.Namespace, pod: v.Pod.Name, until: v.Until}
		all[a] = e
	}
	var sorted []entry
	for _, e := range all {
		sorted = append(sorted, e)
	}
	slices.SortFunc(sorted, func(a, b entry) int { return a.addr.Compare(b.addr) })
	return sorted
}

func identityOf(i allocator.Identity, uid string) identity {
	return identity{Owner: Owner{Namespace: i.Namespace, Group: i.Group, Kind: i.Kind, Name: i.Name}, pod: i.Pod, ownerUID: uid}
}

// TestWhatTheEngineWritesIsReadEqual has the engine write records after random transitions, and
// then changes one thing in the text: both readers read the same, or both refuse it.
func TestWhatTheEngineWritesIsReadEqual(t *testing.T) {
	t.Parallel()
	rapid.Check(t, agreeOnRecords)
}

// FuzzEngineRecord is the same property, guided by coverage.
func FuzzEngineRecord(f *testing.F) { f.Fuzz(rapid.MakeFuzz(agreeOnRecords)) }

func agreeOnRecords(t *rapid.T) {
	e := randomRecord(t).Encode()
	s := &crdv1.IPPoolStatus{
		Settled: e.Settled, Reserved: e.Reserved, Retained: e.Retained, Held: e.Held,
		PodsSeenThrough: e.PodsSeenThrough, LongestGrace: e.LongestGrace, Term: e.Term,
	}
	if _, err := readRecord(s); err != nil {
		t.Fatalf("%+v\nwas written by the engine, and is refused: %v", s, err)
	}
	agree(t, s)
	for range rapid.IntRange(1, 3).Draw(t, "edits") {
		edit(t, s)
		agree(t, s)
	}
}

// randomRecord returns the result of some transitions, without those that the engine refuses.
func randomRecord(t *rapid.T) *allocator.Record {
	first := rapid.SampledFrom([]string{"10.0.0.250", "fc00::2fa"}).Draw(t, "first")
	addresses := []netip.Addr{netip.MustParseAddr(first)}
	for range 20 {
		addresses = append(addresses, addresses[len(addresses)-1].Next())
	}
	address, pick := rapid.SampledFrom(addresses), func(of ...string) string { return rapid.SampledFrom(of).Draw(t, "name") }
	someone := func() allocator.Identity {
		if rapid.Bool().Draw(t, "plain") {
			return allocator.Identity{}
		}
		return allocator.Identity{
			Namespace: "shop", Group: pick("", "apps"), Kind: "StatefulSet", Name: pick("db", "db", "db", "web"),
			Pod: pick("db-0", "db-10", "db-2", "web-0", "web-", "other"),
		}
	}
	grace := rapid.SampledFrom([]time.Duration{0, 31 * time.Second, time.Hour})
	r := &allocator.Record{}
	for range rapid.IntRange(0, 40).Draw(t, "transitions") {
		a := address.Draw(t, "address")
		// Transitions that are refused change nothing.
		switch rapid.IntRange(0, 5).Draw(t, "transition") {
		case 0:
			_ = r.PutBack(a, uint64(rapid.IntRange(0, 99).Draw(t, "revision")), someone(), pick("5e1f", "5e1f", "0b7c", ""))
			r.RaiseGrace(grace.Draw(t, "grace"))
		case 1:
			v := allocator.Reservation{
				Token: allocator.Token(strings.Repeat(pick("a", "b", "c", "d", "2", "7"), 16)), Pod: allocator.PodRef{Namespace: "shop"},
				Grace: grace.Draw(t, "grace"), For: someone(), Owner: pick("", "rqkmtdcs"),
			}
			if v.For != (allocator.Identity{}) {
				v.ForUID = pick("", "5e1f")
			}
			if rapid.Bool().Draw(t, "late") {
				v.Pod.Name, v.Pod.UID = cmp.Or(v.For.Pod, "late-x"), "77aa"
			}
			_ = r.Reserve(a, v)
		case 2:
			h := allocator.Hold{Node: pick("", "node1"), Grace: grace.Draw(t, "grace"), Since: time.Unix(int64(rapid.Uint32().Draw(t, "since")), 0)}
			h.Pod = rapid.SampledFrom([]allocator.PodRef{{}, {Namespace: "shop"}, {Namespace: "shop", Name: "db-0"}}).Draw(t, "pod")
			if rapid.Bool().Draw(t, "expected") {
				h.Until = h.Since.Add(time.Minute)
			}
			_ = r.Hold(a, h)
		case 3:
			_ = r.Release(a)
		case 4: // up to the end of a block: this one, the next, or the one after it
			blocks := rapid.IntRange(1, 3).Draw(t, "blocks")
			for last := a; blocks > 0; last = last.Next() {
				_ = r.PutBack(last, 0, allocator.Identity{}, "")
				if blockOf(last) != blockOf(last.Next()) {
					blocks--
				}
			}
		default:
			r.SetTerm(pick("", "leader-1"))
		}
	}
	return r
}

// edit changes one thing in the text.
func edit(t *rapid.T, s *crdv1.IPPoolStatus) {
	set := rapid.SampledFrom([]*[]string{&s.Settled, &s.Reserved, &s.Retained, &s.Held}).Draw(t, "set")
	*set = slices.Clone(*set)
	if len(*set) == 0 {
		s.LongestGrace = rapid.SampledFrom([]string{"", "30s", "31s", "031s", "3600s"}).Draw(t, "longest grace")
		s.PodsSeenThrough = rapid.SampledFrom([]string{"", "0", "7", "07", "-7"}).Draw(t, "seen")
		return
	}
	i := rapid.IntRange(0, len(*set)-1).Draw(t, "line")
	line := (*set)[i]
	at := rapid.IntRange(0, len(line)).Draw(t, "at")
	switch rapid.IntRange(0, 8).Draw(t, "edit") {
	case 0:
		*set = slices.Delete(*set, i, i+1)
	case 1:
		more := rapid.SampledFrom([]string{
			line, "10.0.1.0-255", "10.0.2.0-255", "10.0.3.0-255", "10.0.3.0-10.0.4.255", "10.0.3.1-10.0.4.255", "fc00::300-3ff", "fc00::500-5ff",
		}).Draw(t, "more")
		*set = slices.Insert(*set, rapid.IntRange(i, len(*set)).Draw(t, "where"), more)
	case 2:
		j := rapid.IntRange(0, len(*set)-1).Draw(t, "other line")
		(*set)[i], (*set)[j] = (*set)[j], (*set)[i]
	case 3:
		(*set)[i] = line[:at] + line[min(at+1, len(line)):]
	case 4:
		char := rapid.SampledFrom(strings.Split("0 1 2 5 9 a f A z . : - , / = + * @ ~ s Z x", " ")).Draw(t, "character")
		(*set)[i] = line[:at] + char + line[min(at+rapid.IntRange(0, 1).Draw(t, "instead"), len(line)):]
	case 5:
		word := rapid.SampledFrom([]string{
			" ", " by:rqkmtdcs", " grace:60s", " for:Bare/web/web-0", " of:5e1f", " pod:shop/-", " pod:shop/db-0", " until:2026-11-23T12:00:00Z", "@2026-11-23T12:00:00Z", " 31s", "~31s", "*", " -7=10.0.1.9", " zz=10.0.1.9", ",255", "-255",
		}).Draw(t, "word")
		(*set)[i] = line + word
	case 6: // split a line in two
		for _, sep := range []string{",", " "} {
			if j := strings.LastIndex(line, sep); j >= 0 && rapid.Bool().Draw(t, "here") {
				head := ""
				if k := strings.Index(line, ": "); k >= 0 {
					head = line[:k+2] // of a retained line
				}
				*set = slices.Insert(*set, i+1, head+line[j+1:])
				(*set)[i] = line[:j]
				return
			}
		}
	case 7: // change a number by one
		j := strings.LastIndexAny(line[:at], "0123456789")
		if j >= 0 {
			(*set)[i] = line[:j] + string(line[j]+byte(rapid.SampledFrom([]int{1, 255}).Draw(t, "neighbour"))) + line[j+1:]
		}
	default:
		words := strings.Split(line, " ")
		j, k := rapid.IntRange(0, len(words)-1).Draw(t, "word"), rapid.IntRange(0, len(words)-1).Draw(t, "other word")
		words[j], words[k] = words[k], words[j]
		(*set)[i] = strings.Join(words, " ")
	}
}

// FuzzSpec compares readSpec with the product's two readers of a spec. What admission accepts is
// read the same, and what the ledger refuses is refused; in between this reader may be as strict as
// it likes.
func FuzzSpec(f *testing.F) {
	f.Add("10.0.0.0/24", "10.0.0.1-10.0.0.9\n10.0.0.20", "10.0.0.5", "10.0.0.1", "10.0.0.2")
	f.Add("fc00::/64", "fc00::1-fc00::ffff:ffff:ffff:ffff", "fc00::10-fc00::20", "fc00::1", "")
	f.Add("10.0.0.0/8", "10.0.0.0-10.63.255.255", "", "", "")
	f.Add("::/64", "::2-::ffff:ffff:ffff", "", "", "::ffff:1.2.3.4")
	f.Add("10.0.0.0/24", "10.0.0.9-10.0.0.3", "10.0.1.1", "10.0.0.01", "fe80::1%eth0")
	f.Fuzz(func(t *testing.T, subnet, ips, excludes, gateway, hop string) {
		spec := crdv1.IPPoolSpec{Subnet: subnet, IPs: lines(ips), ExcludeIPs: lines(excludes)}
		if gateway != "" {
			spec.Gateway = &gateway
		}
		if hop != "" {
			spec.Routes = []crdv1.Route{{Dst: "192.168.0.0/16", Gw: hop}}
			if strings.Contains(subnet, ":") {
				spec.Routes[0].Dst = "fd00::/8"
			}
		}
		got, err := readSpec(&spec)
		admitted, refused := admission.ValidatePoolSpec(&spec)
		if err != nil {
			if len(refused) == 0 {
				t.Fatalf("%+v is admitted, and refused here: %v", spec, err)
			}
			return
		}
		served, ledgerErr := ledger.SpaceOf(&spec)
		if ledgerErr != nil {
			t.Fatalf("%+v is read, and the ledger refuses it: %v", spec, ledgerErr)
		}
		sameSpace(t, served, got)
		if len(refused) == 0 {
			sameSpace(t, admitted, got)
		}
	})
}

func sameSpace(t *testing.T, want allocator.Space, got *netipx.IPSet) {
	t.Helper()
	if !slices.Equal(want.Ranges(), got.Ranges()) {
		t.Fatalf("%v, want %v", got.Ranges(), want.Ranges())
	}
	if n := size(got); uint64(n) != want.Size() {
		t.Fatalf("%d addresses, want %d", n, want.Size())
	}
}
