package allocator_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/internal/reference"
)

func TestLinesAreShortAndReadable(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		addresses []string // read by the reference
		want      []string
	}{
		"nothing is no line":                     {},
		"one address stands alone":               {addresses: []string{"172.18.41.40"}, want: []string{"172.18.41.40"}},
		"neighbours have a dash":                 {addresses: []string{"172.18.41.40-172.18.41.44,50"}, want: []string{"172.18.41.40-44,50"}},
		"two neighbours too":                     {addresses: []string{"10.0.0.4-5"}, want: []string{"10.0.0.4-5"}},
		"each /24 has its line":                  {addresses: []string{"10.0.0.255-10.0.1.1"}, want: []string{"10.0.0.255", "10.0.1.0-1"}},
		"a full /24 is a line like any":          {addresses: []string{"10.0.0.0-255"}, want: []string{"10.0.0.0-255"}},
		"full /24s in a row join":                {addresses: []string{"10.0.0.0-10.0.2.255"}, want: []string{"10.0.0.0-10.0.2.255"}},
		"full /24s apart do not":                 {addresses: []string{"10.0.0.0-255", "10.0.2.0-255"}, want: []string{"10.0.0.0-255", "10.0.2.0-255"}},
		"what is next to a row stays out of it":  {addresses: []string{"9.255.255.255-10.0.2.0"}, want: []string{"9.255.255.255", "10.0.0.0-10.0.1.255", "10.0.2.0"}},
		"a full /16 is one line":                 {addresses: []string{"172.18.0.0-172.18.255.255"}, want: []string{"172.18.0.0-172.18.255.255"}},
		"the last addresses of IPv4":             {addresses: []string{"255.255.254.0-255.255.255.255"}, want: []string{"255.255.254.0-255.255.255.255"}},
		"a last hextet of zero is written":       {addresses: []string{"fc00::0-fc00::5,a"}, want: []string{"fc00::0-5,a"}},
		"the unspecified address too":            {addresses: []string{"::0"}, want: []string{"::0"}},
		"last hextets are in hex and in full":    {addresses: []string{"fc00::1200-fc00::1205,12ff"}, want: []string{"fc00::1200-1205,12ff"}},
		"each /120 has its line":                 {addresses: []string{"fc00::ff-fc00::100"}, want: []string{"fc00::ff", "fc00::100"}},
		"full /120s in a row join":               {addresses: []string{"fc00::0-fc00::1ff"}, want: []string{"fc00::0-fc00::1ff"}},
		"full /120s join over the fourth hextet": {addresses: []string{"fc00::ffff:ffff:ffff:ff00-fc00:0:0:1::ff"}, want: []string{"fc00::ffff:ffff:ffff:ff00-fc00:0:0:1::ff"}},
		"a compression elsewhere needs no zero":  {addresses: []string{"fc00:1:2:3:4:5:6:0-1"}, want: []string{"fc00:1:2:3:4:5:6:0-1"}},
		"the last addresses of IPv6":             {addresses: []string{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fe00-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}, want: []string{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fe00-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s allocator.Set
			all := reference.Expand(tc.addresses)
			for _, a := range slices.Backward(all) {
				if !s.Add(a) || s.Add(a) {
					t.Fatalf("%s: not new once and known after", a)
				}
			}
			if diff := cmp.Diff(tc.want, s.Lines()); diff != "" {
				t.Fatalf("lines (-want +got):\n%s", diff)
			}
			read, err := allocator.ParseSet(s.Lines())
			if err != nil || !read.Equal(&s) || !slices.Equal(slices.Collect(read.All()), all) {
				t.Fatalf("read back as %v, error %v", read.Lines(), err)
			}
			for i, a := range all {
				if !s.Remove(a) || s.Remove(a) || s.Len() != len(all)-i-1 {
					t.Fatalf("%s: not removed once, %d left", a, s.Len())
				}
			}
		})
	}
}

func TestParseSetAcceptsOneSpellingOnly(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		lines   []string
		wantErr string
	}{
		"no text":                      {[]string{""}, `[0]: "": "" is not a plain address`},
		"not ascending":                {[]string{"10.0.1.1", "10.0.0.1"}, `[1]: "10.0.0.1": not beyond the line before`},
		"a chunk twice":                {[]string{"10.0.0.1", "10.0.0.3"}, `[1]: "10.0.0.3": not beyond the line before`},
		"two families":                 {[]string{"10.0.0.1", "fc00::1"}, `[1]: "fc00::1": not beyond the line before`},
		"not ascending in a line":      {[]string{"10.0.0.5,4"}, `[0]: "10.0.0.5,4": not canonical, write "10.0.0.4-5"`},
		"an address twice":             {[]string{"10.0.0.5,5"}, `[0]: "10.0.0.5,5": not canonical, write "10.0.0.5"`},
		"start after end":              {[]string{"10.0.0.5-4"}, `[0]: "10.0.0.5-4": 10.0.0.5-4: start after end`},
		"neighbours without dash":      {[]string{"10.0.0.4,5"}, `[0]: "10.0.0.4,5": not canonical, write "10.0.0.4-5"`},
		"an address spelled out":       {[]string{"10.0.0.4,10.0.0.6"}, `[0]: "10.0.0.4,10.0.0.6": "10.0.0.6" cannot be the end of an address here`},
		"an octet too large":           {[]string{"10.0.0.4,256"}, `[0]: "10.0.0.4,256": "256" cannot be the end of an address here`},
		"a hextet of another chunk":    {[]string{"fc00::1,101"}, `[0]: "fc00::1,101": "101" cannot be the end of an address here`},
		"a leading zero":               {[]string{"10.0.0.4,06"}, `[0]: "10.0.0.4,06": not canonical, write "10.0.0.4,6"`},
		"a zero left out":              {[]string{"fc00::-5"}, `[0]: "fc00::-5": not canonical, write "fc00::0-5"`},
		"upper case":                   {[]string{"fc00::A"}, `[0]: "fc00::A": not canonical, write "fc00::a"`},
		"full chunks apart":            {[]string{"10.0.0.0-255", "10.0.1.0-255"}, `[0]: "10.0.0.0-255": not canonical, write "10.0.0.0-10.0.1.255"`},
		"a row of parts":               {[]string{"10.0.0.1-10.0.1.255"}, `[0]: "10.0.0.1-10.0.1.255": not canonical, write "10.0.0.0-10.0.1.255"`},
		"a row backwards":              {[]string{"10.0.1.0-10.0.0.255"}, `[0]: "10.0.1.0-10.0.0.255": "10.0.0.255" is not a plain address beyond 10.0.1.0`},
		"IPv4-mapped":                  {[]string{"::ffff:10.0.0.1"}, `[0]: "::ffff:10.0.0.1": "::ffff:10.0.0.1" is not a plain address`},
		"more than memory should hold": {[]string{"0.0.0.0-255.255.255.255"}, `[0]: "0.0.0.0-255.255.255.255": more than 16777216 addresses`},
		"more than there is memory":    {[]string{"::0-feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}, `[0]: "::0-feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff": more than 16777216 addresses`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := allocator.ParseSet(tc.lines)
			wantError(t, err, tc.wantErr)
		})
	}
}

func TestSetTakesPlainAddressesOfOneFamily(t *testing.T) {
	t.Parallel()
	var s allocator.Set
	for _, a := range []netip.Addr{{}, netip.MustParseAddr("::ffff:1.2.3.4"), netip.MustParseAddr("fe80::1%eth0")} {
		if s.Add(a) || s.Contains(a) || s.Remove(a) {
			t.Errorf("%v accepted", a)
		}
	}
	four, six := netip.MustParseAddr("0.0.0.1"), netip.MustParseAddr("::1") // the same number
	if !s.Add(four) || s.Add(six) || s.Contains(six) || s.Remove(six) || s.Len() != 1 {
		t.Errorf("families mixed: %v", s.Lines())
	}
	if !s.Remove(four) || !s.Add(six) || s.Contains(four) {
		t.Errorf("an empty set takes either family: %v", s.Lines())
	}
}

func TestCloneIsIndependent(t *testing.T) {
	t.Parallel()
	s, err := allocator.ParseSet([]string{"10.0.0.1-9"})
	if err != nil {
		t.Fatal(err)
	}
	c := s.Clone()
	c.Remove(netip.MustParseAddr("10.0.0.5"))
	s.Add(netip.MustParseAddr("10.0.0.20"))
	if diff := cmp.Diff([][]string{{"10.0.0.1-9,20"}, {"10.0.0.1-4,6-9"}}, [][]string{s.Lines(), c.Lines()}); diff != "" || s.Equal(&c) {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatOneSetHasMoreThanAnother(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ set, other, want []string }{
		"all, of nothing":              {set: []string{"10.0.0.1-3"}, want: []string{"10.0.0.1-3"}},
		"nothing":                      {other: []string{"10.0.0.1-3"}},
		"nothing, of the same":         {set: []string{"10.0.0.1-3"}, other: []string{"10.0.0.0-255"}},
		"in one chunk and in the next": {set: []string{"10.0.0.1-3", "10.0.1.0-255"}, other: []string{"10.0.0.2", "10.0.1.1-255"}, want: []string{"10.0.0.1,3", "10.0.1.0"}},
		"all, of another family":       {set: []string{"0.10.0.0-9"}, other: []string{"::a:0-9"}, want: []string{"0.10.0.0-9"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := slices.Collect(settled(tc.set...).Taken().Without(settled(tc.other...).Taken()))
			if diff := cmp.Diff(reference.Expand(tc.want), got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
