package allocator_test

import (
	"errors"
	"math"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go4.org/netipx"
	"pgregory.net/rapid"

	"spidernet.io/spiderpool/allocator"
)

func TestParseRange(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		in      string
		want    string // as netipx writes it
		wantErr string
	}{
		"one address is a range of one":         {in: "172.18.41.40", want: "172.18.41.40-172.18.41.40"},
		"both ends are included":                {in: "172.18.41.40-172.18.41.50", want: "172.18.41.40-172.18.41.50"},
		"IPv6 is read alike":                    {in: "fc00::1-fc00::ff", want: "fc00::1-fc00::ff"},
		"the start may not be after the end":    {in: "10.0.0.9-10.0.0.3", wantErr: "10.0.0.9-10.0.0.3: start after end"},
		"both ends are of one family":           {in: "10.0.0.9-fc00::1", wantErr: "10.0.0.9-fc00::1: an IPv4 and an IPv6 address"},
		"upper case is not canonical":           {in: "FC00::1", wantErr: `"FC00::1": not canonical, write fc00::1`},
		"zeros spelled out are not canonical":   {in: "fc00:0::1", wantErr: `"fc00:0::1": not canonical, write fc00::1`},
		"an IPv4-mapped address is refused":     {in: "::ffff:10.0.0.1", wantErr: `"::ffff:10.0.0.1": an address with a zone, or IPv4-mapped`},
		"a zone is refused":                     {in: "fe80::1%eth0", wantErr: `"fe80::1%eth0": an address with a zone, or IPv4-mapped`},
		"blanks are refused":                    {in: "10.0.0.1 -10.0.0.2", wantErr: `"10.0.0.1 ": not an address`},
		"a missing end is refused":              {in: "10.0.0.1-", wantErr: `"": not an address`},
		"a third end is refused":                {in: "10.0.0.1-10.0.0.2-10.0.0.3", wantErr: `"10.0.0.2-10.0.0.3": not an address`},
		"a CIDR is not a range":                 {in: "10.0.0.0/24", wantErr: `"10.0.0.0/24": not an address`},
		"an octet is not abbreviated in a pool": {in: "10.0.0.1-9", wantErr: `10.0.0.1-9: the end is cut short, write 10.0.0.1-10.0.0.9`},
		"nor is a part in IPv6":                 {in: "fc00::1-ff", wantErr: `fc00::1-ff: the end is cut short, write fc00::1-fc00::ff`},
		"an end that is no part":                {in: "10.0.0.1-999", wantErr: `"999": not an address`},
		"leading zeros are refused":             {in: "010.00.0.1", wantErr: `"010.00.0.1": leading zeros, write 10.0.0.1`},
		"leading zeros at the end, too":         {in: "10.0.0.1-10.0.0.09", wantErr: `"10.0.0.09": leading zeros, write 10.0.0.9`},
		"nothing but zeros":                     {in: "000.0.0.00", wantErr: `"000.0.0.00": leading zeros, write 0.0.0.0`},
		"leading zeros are not all":             {in: "010.0.0.999", wantErr: `"010.0.0.999": not an address`},
		"nothing is no address":                 {in: "", wantErr: `"": not an address`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := allocator.ParseRange(tc.in)
			wantError(t, err, tc.wantErr)
			if tc.wantErr == "" && got.String() != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestParsePrefix(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ in, wantErr string }{
		"a network is read":                 {in: "172.18.0.0/16"},
		"an IPv6 network is read":           {in: "fc00:f853:ccd:e793::/64"},
		"host bits are refused with a hint": {in: "172.18.41.1/24", wantErr: `"172.18.41.1/24": not canonical, write 172.18.41.0/24`},
		"another spelling is refused":       {in: "fc00:0::/64", wantErr: `"fc00:0::/64": not canonical, write fc00::/64`},
		"an IPv4-mapped CIDR is refused":    {in: "::ffff:10.0.0.0/120", wantErr: `"::ffff:10.0.0.0/120": an IPv4-mapped CIDR`},
		"an address is no CIDR":             {in: "10.0.0.1", wantErr: `"10.0.0.1": not a CIDR`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := allocator.ParsePrefix(tc.in)
			wantError(t, err, tc.wantErr)
			if tc.wantErr == "" && got.String() != tc.in {
				t.Errorf("got %s, want %s", got, tc.in)
			}
		})
	}
}

// wantError wants exactly that message, marked as invalid; none where want is empty.
func wantError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Fatalf("unexpected error: %v", err)
	case want != "" && (err == nil || err.Error() != want):
		t.Fatalf("got error %v, want %s", err, want)
	case want != "" && !errors.Is(err, allocator.ErrInvalid):
		t.Fatalf("%v is not ErrInvalid", err)
	}
}

func TestSpaceIsIncludeLessExclude(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		include, exclude []string
		want             []string
		wantSize         uint64
	}{
		"nothing":                                  {},
		"neighbours and overlaps join":             {include: []string{"10.0.0.4", "10.0.0.1-10.0.0.2", "10.0.0.2-10.0.0.3"}, want: []string{"10.0.0.1-10.0.0.4"}, wantSize: 4},
		"excludes cut":                             {include: []string{"10.0.0.1-10.0.0.9"}, exclude: []string{"10.0.0.3-10.0.0.4", "10.0.0.9"}, want: []string{"10.0.0.1-10.0.0.2", "10.0.0.5-10.0.0.8"}, wantSize: 6},
		"excludes outside do nothing":              {include: []string{"10.0.0.1"}, exclude: []string{"10.0.0.2-10.9.0.0"}, want: []string{"10.0.0.1-10.0.0.1"}, wantSize: 1},
		"all may be excluded":                      {include: []string{"10.0.0.1"}, exclude: []string{"10.0.0.0-10.0.0.2"}},
		"all of IPv4":                              {include: []string{"0.0.0.0-255.255.255.255"}, want: []string{"0.0.0.0-255.255.255.255"}, wantSize: 1 << 32},
		"a /64 counts to the top only":             {include: []string{"fc00::-fc00::ffff:ffff:ffff:ffff"}, want: []string{"fc00::-fc00::ffff:ffff:ffff:ffff"}, wantSize: math.MaxInt64},
		"two /65 count to the top only":            {include: []string{"fc00::-fc00::7fff:ffff:ffff:ffff", "fd00::-fd00::7fff:ffff:ffff:ffff"}, want: []string{"fc00::-fc00::7fff:ffff:ffff:ffff", "fd00::-fd00::7fff:ffff:ffff:ffff"}, wantSize: math.MaxInt64},
		"IPv4-mapped addresses are not handed out": {include: []string{"::fffe:ffff:fffe-::1:0:0:3"}, want: []string{"::fffe:ffff:fffe-::fffe:ffff:ffff", "::1:0:0:0-::1:0:0:3"}, wantSize: 6},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := allocator.NewSpace(ranges(tc.include...), ranges(tc.exclude...))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range s.Ranges() {
				got = append(got, r.String())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || s.Size() != tc.wantSize {
				t.Errorf("size %d, want %d; ranges (-want +got):\n%s", s.Size(), tc.wantSize, diff)
			}
		})
	}
}

func TestUnassignable(t *testing.T) {
	t.Parallel()
	const broadcast, anycast = "the broadcast address", "the subnet-router anycast address"
	for name, tc := range map[string]struct{ subnet, want, wantWhat string }{
		"the last of a /24":                       {"172.18.41.0/24", "172.18.41.255", broadcast},
		"the last of a /23":                       {"172.18.40.0/23", "172.18.41.255", broadcast},
		"the last of a /30":                       {"10.0.0.4/30", "10.0.0.7", broadcast},
		"a link of two has none":                  {"10.0.0.4/31", "", ""},
		"a single address is none":                {"10.0.0.4/32", "", ""},
		"the last of IPv4":                        {"0.0.0.0/0", "255.255.255.255", broadcast},
		"the first of a /64":                      {"fc00::/64", "fc00::", anycast},
		"the first of a /126":                     {"fc00::4/126", "fc00::4", anycast},
		"an IPv6 link of two has none":            {"fc00::4/127", "", ""},
		"a single IPv6 address is none":           {"fc00::4/128", "", ""},
		"the first of IPv6":                       {"::/0", "::", anycast},
		"the last of IPv6 is an address like any": {"fc00::/120", "fc00::", anycast},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, what := allocator.Unassignable(netip.MustParsePrefix(tc.subnet))
			got := ""
			if a.IsValid() {
				got = a.String()
			}
			if got != tc.want || what != tc.wantWhat {
				t.Errorf("got %q, %q, want %q, %q", got, what, tc.want, tc.wantWhat)
			}
		})
	}
	if _, what := allocator.Unassignable(netip.Prefix{}); what != "" {
		t.Errorf("no subnet has %s", what)
	}
}

func TestSpaceInIsWithoutRoutersAndTheBroadcastAddress(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		subnet                    string
		include, exclude, routers []string
		want                      []string
	}{
		"a whole /29": {
			subnet: "10.0.0.8/29", include: []string{"10.0.0.8-10.0.0.15"}, exclude: []string{"10.0.0.9"}, routers: []string{"10.0.0.12", "10.0.0.14"},
			want: []string{"10.0.0.8-10.0.0.8", "10.0.0.10-10.0.0.11", "10.0.0.13-10.0.0.13"},
		},
		"both of a /31":                {subnet: "10.0.0.8/31", include: []string{"10.0.0.8-10.0.0.9"}, want: []string{"10.0.0.8-10.0.0.9"}},
		"a whole /125":                 {subnet: "fc00::8/125", include: []string{"fc00::8-fc00::f"}, want: []string{"fc00::9-fc00::f"}},
		"both of a /127":               {subnet: "fc00::8/127", include: []string{"fc00::8-fc00::9"}, want: []string{"fc00::8-fc00::9"}},
		"nothing but the last address": {subnet: "10.0.0.0/24", include: []string{"10.0.0.255"}},
		"nothing at all":               {subnet: "10.0.0.0/24"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var routers []netip.Addr
			for _, r := range tc.routers {
				routers = append(routers, netip.MustParseAddr(r))
			}
			exclude := ranges(tc.exclude...)
			s, err := allocator.SpaceIn(netip.MustParsePrefix(tc.subnet), ranges(tc.include...), exclude, routers)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range s.Ranges() {
				got = append(got, r.String())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSpaceRefusesMixedAndInvalidRanges(t *testing.T) {
	t.Parallel()
	mapped := netip.MustParseAddr("::ffff:1.2.3.4")
	for name, tc := range map[string]struct{ include, exclude []netipx.IPRange }{
		"two families":                   {include: ranges("10.0.0.1", "fc00::1")},
		"an exclude of the other family": {include: ranges("10.0.0.1"), exclude: ranges("fc00::1")},
		"the zero range":                 {include: []netipx.IPRange{{}}},
		"a range that ends IPv4-mapped":  {include: []netipx.IPRange{netipx.IPRangeFrom(netip.MustParseAddr("::"), mapped)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if s, err := allocator.NewSpace(tc.include, tc.exclude); !errors.Is(err, allocator.ErrInvalid) {
				t.Errorf("got %v %v, want ErrInvalid", s, err)
			}
		})
	}
}

// Space arithmetic against arithmetic on single addresses.
func TestSpaceAgreesWithSetsOfAddresses(t *testing.T) {
	t.Parallel()
	all := slices.Collect(func(yield func(netip.Addr) bool) {
		for a := netip.MustParseAddr("10.0.0.240"); a != netip.MustParseAddr("10.0.1.20") && yield(a); a = a.Next() {
		}
	})
	draw := rapid.Custom(func(t *rapid.T) netipx.IPRange {
		i, j := rapid.IntRange(0, len(all)-1).Draw(t, "i"), rapid.IntRange(0, len(all)-1).Draw(t, "j")
		return netipx.IPRangeFrom(all[min(i, j)], all[max(i, j)])
	})
	in := func(rs []netipx.IPRange, a netip.Addr) bool {
		return slices.ContainsFunc(rs, func(r netipx.IPRange) bool { return r.Contains(a) })
	}
	rapid.Check(t, func(t *rapid.T) {
		x, y, z := rapid.SliceOfN(draw, 0, 4).Draw(t, "x"), rapid.SliceOfN(draw, 0, 4).Draw(t, "y"), rapid.SliceOfN(draw, 0, 4).Draw(t, "z")
		s, o := must(allocator.NewSpace(x, y)), must(allocator.NewSpace(z, nil))
		common, overlaps := s.Overlap(o)
		size, first := uint64(0), netip.Addr{}
		for _, a := range all {
			inS, inO := in(x, a) && !in(y, a), in(z, a)
			if inS {
				size++
			}
			if inS && inO && !first.IsValid() {
				first = a
			}
			got := []bool{s.Contains(a), s.Minus(o).Contains(a), s.Intersect(o).Contains(a), s.Without(z).Contains(a)}
			if want := []bool{inS, inS && !inO, inS && inO, inS && !inO}; !slices.Equal(got, want) {
				t.Fatalf("%s: got %v, want %v", a, got, want)
			}
			if overlaps && common.Contains(a) && (!inS || !inO) {
				t.Fatalf("%s is in the overlap %s", a, common)
			}
		}
		if s.Size() != size || overlaps != first.IsValid() || overlaps && common.From() != first {
			t.Fatalf("size %d, want %d; overlap %s, want from %s", s.Size(), size, common, first)
		}
		if !s.Minus(o).Equal(s.Without(z)) {
			t.Fatal("Minus and Without differ")
		}
	})
}
