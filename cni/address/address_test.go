package address

import (
	"net/netip"
	"strings"
	"testing"
)

// seeds are addresses and prefixes, right and wrong.
var seeds = []string{
	"172.18.41.40", "0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "169.254.1.1",
	"::", "::1", "fc00::28", "fe80::1", "ff02::1", "1:2:3:4:5:6:7:8", "1::8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "FC00::A",
	"", "1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.256", "1.2.3.+4", "1.2.3.", "1..2.3", ":", ":::", "1:::2", "::1::", "1:2:3:4:5:6:7:8:9",
	"1::2:3:4:5:6:7:8", "12345::", "::g", "::+1", "::1_1", "fe80::1%eth0", "::ffff:1.2.3.4", "64:ff9b::1.2.3.4", ":1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:",
	"::ffff:102:304",
}

func TestParseIsThatOfNetip(t *testing.T) {
	t.Parallel()
	for _, text := range seeds {
		checkAddr(t, text)
		for _, length := range []string{"/0", "/1", "/8", "/24", "/31", "/32", "/33", "/64", "/128", "/129", "/-1", "/08", "/+8", "/", "/x", "/8/8", ""} {
			checkPrefix(t, text+length)
		}
	}
}

// outside tells whether an address that net/netip takes is one of those that
// this package leaves out.
func outside(text string) bool {
	return strings.Contains(text, "%") || strings.Contains(text, ":") && strings.Contains(text, ".")
}

func checkAddr(t *testing.T, text string) {
	t.Helper()
	got, ok := Parse(text)
	want, err := netip.ParseAddr(text)
	if ok != (err == nil) {
		if ok || !outside(text) {
			t.Errorf("address %q: taken is %v, but netip says %v", text, ok, err)
		}
		return
	}
	if ok {
		compare(t, got, want)
	}
}

func compare(t *testing.T, got Addr, want netip.Addr) {
	t.Helper()
	bytes := want.As16()
	if want.Is4() {
		v4 := want.As4()
		bytes = [16]byte{}
		copy(bytes[:], v4[:])
	}
	type facts struct {
		bytes                                                        [16]byte
		valid, is6, in6, unspecified, loopback, multicast, linkLocal bool
	}
	ours := facts{got.bytes, got.IsValid(), got.Is6(), got.Is4In6(), got.IsUnspecified(), got.IsLoopback(), got.IsMulticast(), got.IsLinkLocal()}
	loopback := want.IsLoopback() && !want.Is4In6()
	multicast := want.IsMulticast() && !want.Is4In6()
	linkLocal := want.IsLinkLocalUnicast() && !want.Is4In6()
	theirs := facts{bytes, want.IsValid(), want.Is6(), want.Is4In6(), want.IsUnspecified(), loopback, multicast, linkLocal}
	if ours != theirs {
		t.Errorf("address %s: %+v, netip says %+v", got, ours, theirs)
	}
}

func checkPrefix(t *testing.T, text string) {
	t.Helper()
	got, ok := ParsePrefix(text)
	want, err := netip.ParsePrefix(text)
	if ok != (err == nil) {
		if ok || !outside(text) {
			t.Errorf("prefix %q: taken is %v, but netip says %v", text, ok, err)
		}
		return
	}
	if !ok {
		return
	}
	compare(t, got.Addr(), want.Addr())
	if got.bits != want.Bits() || got.IsMasked() != (want == want.Masked()) {
		t.Errorf("prefix %s: %d bits, masked is %v; netip says %v", got, got.bits, got.IsMasked(), want)
	}
}

func FuzzPrefixIsThatOfNetip(f *testing.F) {
	for _, text := range seeds {
		f.Add(text+"/24", "10.0.0.1")
		f.Add("fc00::/8", text)
	}
	f.Fuzz(func(t *testing.T, prefix, addr string) {
		checkPrefix(t, prefix)
		checkAddr(t, addr)
		p, okPrefix := ParsePrefix(prefix)
		a, okAddr := Parse(addr)
		if !okPrefix || !okAddr {
			return
		}
		wantPrefix, wantAddr := netip.MustParsePrefix(prefix), netip.MustParseAddr(addr)
		if got, want := p.Contains(a), wantPrefix.Contains(wantAddr); got != want {
			t.Errorf("%s contains %s: got %v, want %v", p, a, got, want)
		}
		if got, want := p.Addr().Same(a), wantPrefix.Addr() == wantAddr; got != want {
			t.Errorf("%s is %s: got %v, want %v", p.Addr(), a, got, want)
		}
		canonical, ok := ParsePrefix(wantPrefix.String())
		if ok == outside(wantPrefix.String()) || ok && !canonical.Same(p) {
			t.Errorf("%s written by netip as %s is %v, %v", p, wantPrefix, canonical, ok)
		}
	})
}

func TestZeroValuesAreNothing(t *testing.T) {
	t.Parallel()
	none, _ := Parse("0.0.0.0")
	if (Addr{}).IsValid() || (Addr{}).Same(none) {
		t.Error("the zero value is an address")
	}
	p, _ := ParsePrefix("0.0.0.0/0")
	if p.Contains(Addr{}) {
		t.Error("the zero value is in a network")
	}
}
