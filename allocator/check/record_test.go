package check

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go4.org/netipx"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// written is a status with addresses in each set, and a retained one in each state.
func written() *crdv1.IPPoolStatus {
	return &crdv1.IPPoolStatus{
		Settled: []string{"10.0.0.1-3,7", "10.0.2.0-10.0.3.255"},
		Reserved: []string{
			"10.0.0.10 " + tokenA + " shop by:rqkmtdcs grace:3600s for:StatefulSet.apps/db/db-9 of:5e1f",
			"10.0.0.11 " + tokenB + " shop/late-x 77aa",
		},
		Retained: []string{
			"shop/Bare/web -: webserver=10.0.0.20*",
			"shop/StatefulSet.apps/db 0b7c: -2=10.0.0.21+" + tokenC,
			"shop/StatefulSet.apps/db 5e1f: -0=10.0.0.23 -3=10.0.0.24+eeeeeeeeeeeeeeee/99cc~60s other=10.0.0.22@-@2026-11-23T12:00:00Z@2026-11-23T13:01:00Z~3600s",
		},
		Held:            []string{"10.0.0.30 node1 2026-11-23T12:00:00Z pod:shop/web-x until:2026-11-23T12:01:30Z", "10.0.0.31 - 2026-11-23T12:00:00Z 90s"},
		PodsSeenThrough: "9", LongestGrace: "3600s", Term: "leader-1",
	}
}

func TestARecordIsReadAsItIsWritten(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	at := netip.MustParseAddr
	of := func(pod, uid string) identity { return identity{Owner: db, pod: pod, ownerUID: uid} }
	bare := identity{Owner: Owner{Namespace: "shop", Kind: "Bare", Name: "web"}, pod: "webserver"}
	second, other, first, third := of("db-2", "0b7c"), of("other", "5e1f"), of("db-0", "5e1f"), of("db-3", "5e1f")
	want := &record{
		settled: &netipx.IPSet{}, // compared separately
		entries: []entry{
			{addr: at("10.0.0.10"), place: place{"reserved", 0}, awaits: &reservation{
				token: tokenA, namespace: "shop", digest: "rqkmtdcs", grace: time.Hour, kept: of("db-9", "5e1f"),
			}},
			{addr: at("10.0.0.11"), place: place{"reserved", 1}, awaits: &reservation{token: tokenB, namespace: "shop", name: "late-x", uid: "77aa"}},
			{addr: at("10.0.0.20"), place: place{"retained", 0}, kept: &bare, inUse: true},
			{addr: at("10.0.0.21"), place: place{"retained", 1}, kept: &second, awaits: &reservation{token: tokenC, namespace: "shop", kept: second}},
			{addr: at("10.0.0.22"), place: place{"retained", 2}, kept: &other, held: &hold{
				since: noon, grace: time.Hour, namespace: "shop", pod: "other", until: noon.Add(61 * time.Minute),
			}},
			{addr: at("10.0.0.23"), place: place{"retained", 2}, kept: &first},
			{addr: at("10.0.0.24"), place: place{"retained", 2}, kept: &third, awaits: &reservation{
				token: "eeeeeeeeeeeeeeee", namespace: "shop", name: "db-3", uid: "99cc", grace: time.Minute, kept: third,
			}},
			{addr: at("10.0.0.30"), place: place{"held", 0}, held: &hold{
				node: "node1", since: noon, namespace: "shop", pod: "web-x", until: noon.Add(90 * time.Second),
			}},
			{addr: at("10.0.0.31"), place: place{"held", 1}, held: &hold{since: noon, grace: 90 * time.Second}},
		},
		seenThrough: 9, longestGrace: time.Hour, term: "leader-1",
	}
	got, err := readRecord(written())
	if err != nil {
		t.Fatal(err)
	}
	settled := []netipx.IPRange{
		netipx.IPRangeFrom(at("10.0.0.1"), at("10.0.0.3")), netipx.IPRangeFrom(at("10.0.0.7"), at("10.0.0.7")),
		netipx.IPRangeFrom(at("10.0.2.0"), at("10.0.3.255")),
	}
	if diff := cmp.Diff(settled, got.settled.Ranges(), cmp.Comparer(func(a, b netipx.IPRange) bool { return a == b })); diff != "" {
		t.Errorf("settled (-want +got):\n%s", diff)
	}
	if n := got.count(); n != 4+512+9 {
		t.Errorf("%d addresses, want 525", n)
	}
	got.settled = want.settled
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(record{}, entry{}, place{}, identity{}, reservation{}, hold{}),
		cmp.Comparer(sameAddress)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSettledLinesHaveOneSpelling(t *testing.T) {
	t.Parallel()
	refuse(t, func(lines ...string) *crdv1.IPPoolStatus { return &crdv1.IPPoolStatus{Settled: lines} }, map[string]refusal{
		"one address":                         {lines: []string{"10.0.0.1"}},
		"a whole block":                       {lines: []string{"10.0.0.0-255"}},
		"whole blocks with a gap":             {lines: []string{"10.0.0.0-255", "10.0.2.0-10.0.3.255"}},
		"whole blocks and a part":             {lines: []string{"10.0.0.0-10.0.1.255", "10.0.2.0"}},
		"IPv6":                                {lines: []string{"fc00::0-5,a", "fc00::1200,12ff", "fc00::1300-fc00::14ff"}},
		"the last block of all":               {lines: []string{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ff00-ff0f,ffff"}},
		"nothing":                             {lines: []string{""}, want: `status.settled[0]: "": "": not an address`},
		"another spelling":                    {lines: []string{"10.0.0.01"}, want: `status.settled[0]: "10.0.0.01": "10.0.0.01": not an address`},
		"capital letters":                     {lines: []string{"FC00::1"}, want: `status.settled[0]: "FC00::1": "FC00::1": write it as fc00::1`},
		"a capital letter in the last number": {lines: []string{"fc00::1,A"}, want: `status.settled[0]: "fc00::1,A": "A": not the last number of an address`},
		"an IPv6 address without its end":     {lines: []string{"fc00::"}, want: `status.settled[0]: "fc00::": "fc00::": does not show its last number`},
		"an IPv4 address as IPv6":             {lines: []string{"::ffff:10.0.0.1"}, want: `status.settled[0]: "::ffff:10.0.0.1": "::ffff:10.0.0.1": an address with a zone, or an IPv4 address as IPv6`},
		"a zone":                              {lines: []string{"fe80::1%eth0"}, want: `status.settled[0]: "fe80::1%eth0": "fe80::1%eth0": an address with a zone, or an IPv4 address as IPv6`},
		"numbers that do not ascend":          {lines: []string{"10.0.0.5,4"}, want: `status.settled[0]: "10.0.0.5,4": "4": not behind 10.0.0.5, with a gap`},
		"numbers that are adjacent":           {lines: []string{"10.0.0.5,6"}, want: `status.settled[0]: "10.0.0.5,6": "6": not behind 10.0.0.5, with a gap`},
		"a number after the last address":     {lines: []string{"255.255.255.255,0"}, want: `status.settled[0]: "255.255.255.255,0": "0": not behind 255.255.255.255, with a gap`},
		"a range of one":                      {lines: []string{"10.0.0.5-5"}, want: `status.settled[0]: "10.0.0.5-5": "10.0.0.5-5": does not end behind its start`},
		"a number too large":                  {lines: []string{"10.0.0.5-256"}, want: `status.settled[0]: "10.0.0.5-256": "256": not the last number of an address`},
		"a number with a leading zero":        {lines: []string{"10.0.0.5-07"}, want: `status.settled[0]: "10.0.0.5-07": "07": not the last number of an address`},
		"a number of another block":           {lines: []string{"fc00::5-105"}, want: `status.settled[0]: "fc00::5-105": "105": fc00::105 is not in the block of fc00::5`},
		"blocks in the wrong order":           {lines: []string{"10.0.1.1", "10.0.0.1"}, want: `status.settled[1]: "10.0.0.1": not in a block behind that of 10.0.1.1`},
		"two lines for one block":             {lines: []string{"10.0.0.1", "10.0.0.5"}, want: `status.settled[1]: "10.0.0.5": not in a block behind that of 10.0.0.1`},
		"two lines for adjacent whole blocks": {lines: []string{"10.0.0.0-255", "10.0.1.0-255"}, want: `status.settled[1]: "10.0.1.0-255": goes on where the line before ends at 10.0.0.255: write one line`},
		"two families":                        {lines: []string{"10.0.0.1", "fc00::1"}, want: `status.settled[1]: "fc00::1": of another family than 10.0.0.1`},
		"one block as several":                {lines: []string{"10.0.0.0-10.0.0.255"}, want: `status.settled[0]: "10.0.0.0-10.0.0.255": 10.0.0.255: not in a block behind that of 10.0.0.0`},
		"several blocks, not whole":           {lines: []string{"10.0.0.1-10.0.1.255"}, want: `status.settled[0]: "10.0.0.1-10.0.1.255": 10.0.0.1 to 10.0.1.255: not whole blocks`},
		"several blocks and more":             {lines: []string{"10.0.0.0-10.0.1.255,5"}, want: `status.settled[0]: "10.0.0.0-10.0.1.255,5": "10.0.1.255,5": not an address`},
		"blocks of two families":              {lines: []string{"10.0.0.0-fc00::ff"}, want: `status.settled[0]: "10.0.0.0-fc00::ff": fc00::ff: not in a block behind that of 10.0.0.0`},
		"more than a record has":              {lines: []string{"10.0.0.0-10.255.255.255", "11.0.0.0"}, want: `status: more than 16777216 addresses`},
		"all addresses":                       {lines: []string{"::0-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}, want: `status: more than 16777216 addresses`},
	})
}

func TestReservedLinesHaveOneSpelling(t *testing.T) {
	t.Parallel()
	const start = "10.0.0.1 " + tokenA + " shop"
	q := func(line, why string) string { return `status.reserved[0]: "` + line + `": ` + why }
	refuse(t, func(lines ...string) *crdv1.IPPoolStatus { return &crdv1.IPPoolStatus{Reserved: lines} }, map[string]refusal{
		"at admission":                   {lines: []string{start}},
		"bound late":                     {lines: []string{start + "/web-x 77aa"}},
		"with all words":                 {lines: []string{start + "/web-0 77aa by:rqkmtdcs grace:31s for:Bare/web/web-0 of:5e1f"}},
		"two of one token":               {lines: []string{start, "10.0.0.2 " + tokenA + " shop"}},
		"no namespace":                   {lines: []string{"10.0.0.1 " + tokenA}, want: q("10.0.0.1 "+tokenA, "want address, token and namespace, or address, token, namespace/name and UID")},
		"no token":                       {lines: []string{"10.0.0.1 AAAA shop"}, want: q("10.0.0.1 AAAA shop", `token "AAAA": want 16 characters of a-z and 2-7`)},
		"two blanks":                     {lines: []string{"10.0.0.1  " + tokenA + " shop"}, want: q("10.0.0.1  "+tokenA+" shop", `token "": want 16 characters of a-z and 2-7`)},
		"a trailing blank":               {lines: []string{start + " "}, want: q(start+" ", `"": no word, or in the wrong place`)},
		"a name without UID":             {lines: []string{start + "/web-0"}, want: q(start+"/web-0", "shop/web-0: want the UID of the pod behind its name")},
		"an empty name":                  {lines: []string{start + "/ 77aa"}, want: q(start+"/ 77aa", `pod "": not a name`)},
		"an unknown word":                {lines: []string{start + " at:home"}, want: q(start+" at:home", `"at:home": no word, or in the wrong place`)},
		"a word without a colon":         {lines: []string{start + " by"}, want: q(start+" by", `"by": want 8 characters of a-z and 2-7`)},
		"a word twice":                   {lines: []string{start + " by:rqkmtdcs by:rqkmtdcs"}, want: q(start+" by:rqkmtdcs by:rqkmtdcs", `"by:rqkmtdcs": no word, or in the wrong place`)},
		"words in the wrong order":       {lines: []string{start + " grace:31s by:rqkmtdcs"}, want: q(start+" grace:31s by:rqkmtdcs", `"by:rqkmtdcs": no word, or in the wrong place`)},
		"the default grace":              {lines: []string{start + " grace:30s"}, want: q(start+" grace:30s", `"grace:30s": "30s": not a grace in whole seconds, from 31s to a hundred years`)},
		"a grace with a plus":            {lines: []string{start + " grace:+31s"}, want: q(start+" grace:+31s", `"grace:+31s": "+31s": not a grace in whole seconds, from 31s to a hundred years`)},
		"a grace without end":            {lines: []string{start + " grace:3153600001s"}, want: q(start+" grace:3153600001s", `"grace:3153600001s": "3153600001s": not a grace in whole seconds, from 31s to a hundred years`)},
		"an identity without a pod":      {lines: []string{start + " for:Bare/web"}, want: q(start+" for:Bare/web", `"for:Bare/web": want Kind.group/name/pod`)},
		"a kind without its group":       {lines: []string{start + " for:Bare./web/web-0"}, want: q(start+" for:Bare./web/web-0", `"for:Bare./web/web-0": group "": not a name`)},
		"an identity of another pod":     {lines: []string{start + "/web-1 77aa for:Bare/web/web-0"}, want: q(start+"/web-1 77aa for:Bare/web/web-0", `"for:Bare/web/web-0": the pod is web-1`)},
		"an owner without identity":      {lines: []string{start + " of:5e1f"}, want: q(start+" of:5e1f", `"of:5e1f": stands behind for: only`)},
		"lines that do not ascend":       {lines: []string{"10.0.0.2 " + tokenB + " shop", start}, want: "status.reserved[1]: 10.0.0.1 does not come after 10.0.0.2"},
		"one address for two tokens":     {lines: []string{start, "10.0.0.1 " + tokenB + " shop"}, want: "status.reserved[1]: 10.0.0.1 does not come after 10.0.0.1"},
		"a name with a sign":             {lines: []string{"10.0.0.1 " + tokenA + " sh=op"}, want: q("10.0.0.1 "+tokenA+" sh=op", `namespace "sh=op": not a name`)},
		"an address in another spelling": {lines: []string{"10.0.0.1/32 " + tokenA + " shop"}, want: q("10.0.0.1/32 "+tokenA+" shop", `"10.0.0.1/32": not an address`)},
	})
}

func TestRetainedLinesHaveOneSpelling(t *testing.T) {
	t.Parallel()
	const head, noon = "shop/StatefulSet.apps/db 5e1f: ", "2026-11-23T12:00:00Z"
	line := func(text string) []string { return []string{head + text} }
	q := func(item, why string) string {
		return `status.retained[0]: "` + head + item + `": "` + item + `": ` + why
	}
	const form = "want namespace/Kind.group/name, the owner's UID or - with a colon, and pods"
	refuse(t, func(lines ...string) *crdv1.IPPoolStatus { return &crdv1.IPPoolStatus{Retained: lines} }, map[string]refusal{
		"in each use":                                {lines: line("-0=10.0.0.1 -1=10.0.0.2* -2=10.0.0.3+" + tokenA + "/77aa~31s -3=10.0.0.4@-@" + noon + "~31s")},
		"a pod of another name":                      {lines: line("another=10.0.0.1 db=10.0.0.2")},
		"a pod with several addresses":               {lines: line("-0=10.0.0.1 -0=10.0.0.2")},
		"no UID":                                     {lines: []string{"shop/StatefulSet.apps/db : -0=10.0.0.1"}, want: `status.retained[0]: "shop/StatefulSet.apps/db : -0=10.0.0.1": UID "": not a name`},
		"no pods":                                    {lines: []string{"shop/StatefulSet.apps/db 5e1f:"}, want: `status.retained[0]: "shop/StatefulSet.apps/db 5e1f:": ` + form},
		"no kind":                                    {lines: []string{"shop/db 5e1f: -0=10.0.0.1"}, want: `status.retained[0]: "shop/db 5e1f: -0=10.0.0.1": ` + form},
		"an empty pod":                               {lines: line(""), want: q("", `pod "": not a name`)},
		"a pod without address":                      {lines: line("-0"), want: q("-0", `"": not an address`)},
		"a name that could be shorter":               {lines: line("db-0=10.0.0.1"), want: q("db-0=10.0.0.1", `pod "db-0": write it from the dash on`)},
		"more behind an asterisk":                    {lines: line("-0=10.0.0.1**"), want: q("-0=10.0.0.1**", `"**": nothing follows *`)},
		"a pending admission without token":          {lines: line("-0=10.0.0.1+"), want: q("-0=10.0.0.1+", `token "": want 16 characters of a-z and 2-7`)},
		"a pending admission without UID":            {lines: line("-0=10.0.0.1+" + tokenA + "/"), want: q("-0=10.0.0.1+"+tokenA+"/", `UID "": not a name`)},
		"a pending admission with the default grace": {lines: line("-0=10.0.0.1+" + tokenA + "~30s"), want: q("-0=10.0.0.1+"+tokenA+"~30s", `"30s": not a grace in whole seconds, from 31s to a hundred years`)},
		"a hold without node":                        {lines: line("-0=10.0.0.1@@" + noon), want: q("-0=10.0.0.1@@"+noon, `node "": not a name`)},
		"a hold without time":                        {lines: line("-0=10.0.0.1@node1"), want: q("-0=10.0.0.1@node1", `"": not a UTC time such as 2026-11-23T10:00:00Z`)},
		"pods that do not ascend":                    {lines: line("-1=10.0.0.1 -0=10.0.0.2"), want: "status.retained[0]: pod db-0 does not come after pod db-1"},
		"ordinals as numbers":                        {lines: line("-2=10.0.0.1 -10=10.0.0.2"), want: "status.retained[0]: pod db-10 does not come after pod db-2"},
		"two lines for one owner's UID":              {lines: []string{head + "-0=10.0.0.1", head + "-1=10.0.0.2"}, want: "status.retained[1]: the owner does not come after that of the line before"},
		"owners that do not ascend":                  {lines: []string{head + "-0=10.0.0.1", "shop/Bare/db 5e1f: -1=10.0.0.2"}, want: "status.retained[1]: the owner does not come after that of the line before"},
		"one address twice":                          {lines: line("-0=10.0.0.1 -1=10.0.0.1"), want: "status.retained[0]: 10.0.0.1 stands elsewhere too"},
		"two families":                               {lines: line("-0=10.0.0.1 -1=fc00::1"), want: "status.retained[0]: 10.0.0.1 and fc00::1 are of two families"},
	})
}

func TestHeldLinesHaveOneSpelling(t *testing.T) {
	t.Parallel()
	const noon = " 2026-11-23T12:00:00Z"
	q := func(line, why string) string { return `status.held[0]: "` + line + `": ` + why }
	const order = "want pod: and until:, each once and in this order"
	const form, noTime = "want address, node and time, and perhaps a grace and words", "not a UTC time such as 2026-11-23T10:00:00Z"
	refuse(t, func(lines ...string) *crdv1.IPPoolStatus { return &crdv1.IPPoolStatus{Held: lines} }, map[string]refusal{
		"of a node":             {lines: []string{"10.0.0.1 node1" + noon}},
		"with a grace":          {lines: []string{"10.0.0.1 -" + noon + " 31s"}},
		"too little":            {lines: []string{"10.0.0.1 node1"}, want: q("10.0.0.1 node1", form)},
		"too much":              {lines: []string{"10.0.0.1 node1" + noon + " 31s 31s"}, want: q("10.0.0.1 node1"+noon+" 31s 31s", `"31s": `+order)},
		"of a pod, with an end": {lines: []string{"10.0.0.1 node1" + noon + " 31s pod:shop/web until:2026-11-23T12:01:31Z"}},
		"of a namespace":        {lines: []string{"10.0.0.1 -" + noon + " pod:shop/-"}},
		"of a pod twice":        {lines: []string{"10.0.0.1 -" + noon + " pod:shop/- pod:shop/-"}, want: q("10.0.0.1 -"+noon+" pod:shop/- pod:shop/-", `"pod:shop/-": `+order)},
		"words out of order": {
			lines: []string{"10.0.0.1 - 2026-11-23T12:00:00Z until:2026-11-23T12:01:31Z pod:shop/-"},
			want:  q("10.0.0.1 -"+noon+" until:2026-11-23T12:01:31Z pod:shop/-", `"pod:shop/-": `+order),
		},
		"of a pod of nobody":    {lines: []string{"10.0.0.1 -" + noon + " pod:-/web"}, want: q("10.0.0.1 -"+noon+" pod:-/web", `namespace "-": not a name`)},
		"of nothing":            {lines: []string{"10.0.0.1 -" + noon + " pod:shop"}, want: q("10.0.0.1 -"+noon+" pod:shop", `pod "": not a name`)},
		"until the zero time":   {lines: []string{"10.0.0.1 -" + noon + " until:0001-01-01T00:00:00Z"}, want: q("10.0.0.1 -"+noon+" until:0001-01-01T00:00:00Z", `"0001-01-01T00:00:00Z": leave it out`)},
		"a node that is none":   {lines: []string{"10.0.0.1 -x" + noon}, want: q("10.0.0.1 -x"+noon, `node "-x": not a name`)},
		"a time of a zone":      {lines: []string{"10.0.0.1 - 2026-11-23T12:00:00+00:00"}, want: q("10.0.0.1 - 2026-11-23T12:00:00+00:00", `"2026-11-23T12:00:00+00:00": `+noTime)},
		"a fraction of seconds": {lines: []string{"10.0.0.1 - 2026-11-23T12:00:00.5Z"}, want: q("10.0.0.1 - 2026-11-23T12:00:00.5Z", `"2026-11-23T12:00:00.5Z": `+noTime)},
		"a day that is none":    {lines: []string{"10.0.0.1 - 2026-02-30T12:00:00Z"}, want: q("10.0.0.1 - 2026-02-30T12:00:00Z", `"2026-02-30T12:00:00Z": `+noTime)},
		"a year that is none":   {lines: []string{"10.0.0.1 - 0000-01-01T12:00:00Z"}, want: q("10.0.0.1 - 0000-01-01T12:00:00Z", `"0000-01-01T12:00:00Z": `+noTime)},
		"an order that is none": {lines: []string{"10.0.0.2 -" + noon, "10.0.0.1 -" + noon}, want: "status.held[1]: 10.0.0.1 does not come after 10.0.0.2"},
	})
}

func TestWhatARecordSaysFitsTogether(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*crdv1.IPPoolStatus)
		want   string
	}{
		"nothing is wrong": {func(*crdv1.IPPoolStatus) {}, ""},
		"an empty status":  {func(s *crdv1.IPPoolStatus) { *s = crdv1.IPPoolStatus{} }, ""},
		"settled and reserved": {func(s *crdv1.IPPoolStatus) { s.Settled[0] = "10.0.0.1-3,10" },
			"status.reserved[0]: 10.0.0.10 stands elsewhere too"},
		"reserved and held": {func(s *crdv1.IPPoolStatus) { s.Held[0] = "10.0.0.11 node1 2026-11-23T12:00:00Z" },
			"status.held[0]: 10.0.0.11 stands elsewhere too"},
		"retained and held, on two lines": {func(s *crdv1.IPPoolStatus) { s.Held[0] = "10.0.0.23 node1 2026-11-23T12:00:00Z" },
			"status.held[0]: 10.0.0.23 stands elsewhere too"},
		"two families": {func(s *crdv1.IPPoolStatus) { s.Held[1] = "fc00::1 node1 2026-11-23T12:00:00Z" },
			"status.held[1]: 10.0.0.1 and fc00::1 are of two families"},
		"pods seen through nothing": {func(s *crdv1.IPPoolStatus) { s.PodsSeenThrough = "0" },
			`status.podsSeenThrough: "0": not a positive number`},
		"pods seen through a number with a leading zero": {func(s *crdv1.IPPoolStatus) { s.PodsSeenThrough = "09" },
			`status.podsSeenThrough: "09": not a positive number`},
		"a longest grace that is the default": {func(s *crdv1.IPPoolStatus) { s.LongestGrace = "30s" },
			`status.longestGrace: "30s": not a grace in whole seconds, from 31s to a hundred years`},
		"a longest grace, and nothing in use": {func(s *crdv1.IPPoolStatus) { s.Settled, s.Retained = nil, s.Retained[1:] },
			`status.longestGrace: "3600s": no address is in use`},
		"a longest grace of what is retained and in use": {func(s *crdv1.IPPoolStatus) { s.Settled = nil }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := written()
			tc.change(s)
			_, err := readRecord(s)
			if got := text(err); got != tc.want {
				t.Errorf("says %q, want %q", got, tc.want)
			}
		})
	}
}

// refusal is the expected error for lines; empty where they can be read.
type refusal struct {
	lines []string
	want  string
}

func refuse(t *testing.T, status func(lines ...string) *crdv1.IPPoolStatus, tests map[string]refusal) {
	t.Helper()
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := readRecord(status(tc.lines...))
			if got := text(err); got != tc.want {
				t.Errorf("says %q, want %q", got, tc.want)
			}
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
