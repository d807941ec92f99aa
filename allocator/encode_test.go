package allocator_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spidernet.io/spiderpool/allocator"
)

const (
	tokenA = allocator.Token("aaaaaaaaaaaaaaaa")
	tokenB = allocator.Token("bbbbbbbbbbbbbbbb")
	tokenC = allocator.Token("cccccccccccccccc")
	tokenD = allocator.Token("dddddddddddddddd")
	tokenE = allocator.Token("eeeeeeeeeeeeeeee")
	tokenF = allocator.Token("2345672345672345") // nowhere in the example
)

func ip(last string) netip.Addr { return netip.MustParseAddr("172.18.41." + last) }

func statefulSet(pod string) allocator.Identity {
	return allocator.Identity{Namespace: "default", Group: "apps", Kind: "StatefulSet", Name: "web", Pod: pod}
}

// nobody is the identity of a pod that has none.
var nobody allocator.Identity

// example has something in each set, and something retained in each use.
func example(t *testing.T) *allocator.Record {
	t.Helper()
	r := &allocator.Record{}
	bare := allocator.Identity{Namespace: "default", Kind: "Bare", Name: "web", Pod: "webserver"}
	inDefault := allocator.PodRef{Namespace: "default"}
	for _, err := range []error{
		r.PutBack(ip("40"), 7, nobody, ""), r.PutBack(ip("41"), 9, nobody, ""), r.PutBack(ip("42"), 8, nobody, ""), r.PutBack(ip("50"), 1, nobody, ""),

		r.Reserve(ip("43"), allocator.Reservation{Token: tokenD, Pod: inDefault, Owner: "rqkmtdcs", Grace: time.Hour, For: statefulSet("web-9"), ForUID: "5e1f"}),
		r.Reserve(ip("44"), allocator.Reservation{Token: tokenB, Pod: allocator.PodRef{Namespace: "default", Name: "late-x", UID: "77aa"}}),
		r.Reserve(ip("45"), allocator.Reservation{Token: tokenA, Pod: inDefault, Grace: allocator.DefaultGrace}),

		r.PutBack(ip("46"), 0, nobody, ""), r.PutBack(ip("47"), 0, nobody, ""),
		r.Hold(ip("46"), allocator.Hold{Node: "node1", Since: noon.Add(time.Millisecond).In(time.FixedZone("CET", 3600)), Grace: time.Second,
			Pod: allocator.PodRef{Namespace: "shop", Name: "web-x", UID: "77aa"}, Until: noon.Add(90*time.Second + time.Millisecond)}),
		r.Hold(ip("47"), allocator.Hold{Since: noon, Grace: 89500 * time.Millisecond}),

		r.PutBack(ip("61"), 0, statefulSet("web-0"), "5e1f"), r.Release(ip("61")),
		r.PutBack(ip("60"), 0, statefulSet("web-1"), "5e1f"),
		r.PutBack(ip("62"), 0, statefulSet("web-2"), "0b7c"), r.Release(ip("62")),
		r.Reserve(ip("62"), allocator.Reservation{Token: tokenC, Pod: inDefault, Owner: "rqkmtdcs", For: statefulSet("web-2")}),
		r.PutBack(ip("63"), 0, statefulSet("web-3"), "5e1f"), r.Release(ip("63")),
		r.Reserve(ip("63"), allocator.Reservation{Token: tokenE, Grace: time.Minute,
			Pod: allocator.PodRef{Namespace: "default", Name: "web-3", UID: "99cc"}, For: statefulSet("web-3")}),
		r.PutBack(ip("64"), 0, statefulSet("web-4"), "5e1f"), r.Hold(ip("64"), allocator.Hold{Node: "node2", Since: noon, Until: noon.Add(90 * time.Second)}),
		r.PutBack(ip("65"), 0, statefulSet("other"), "5e1f"), r.Hold(ip("65"), allocator.Hold{Since: noon, Grace: time.Hour}),
		r.PutBack(ip("66"), 0, bare, ""),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	r.SetTerm("leader-1")
	return r
}

func TestEncodeIsReadable(t *testing.T) {
	t.Parallel()
	want := allocator.Encoded{
		Settled: []string{"172.18.41.40-42,50"},
		Reserved: []string{
			"172.18.41.43 dddddddddddddddd default by:rqkmtdcs grace:3600s for:StatefulSet.apps/web/web-9 of:5e1f",
			"172.18.41.44 bbbbbbbbbbbbbbbb default/late-x 77aa",
			"172.18.41.45 aaaaaaaaaaaaaaaa default",
		},
		Retained: []string{
			"default/Bare/web -: webserver=172.18.41.66*",
			"default/StatefulSet.apps/web 0b7c: -2=172.18.41.62+cccccccccccccccc",
			"default/StatefulSet.apps/web 5e1f: other=172.18.41.65@-@2026-11-23T12:00:00Z~3600s -0=172.18.41.61 -1=172.18.41.60*" +
				" -3=172.18.41.63+eeeeeeeeeeeeeeee/99cc~60s -4=172.18.41.64@node2@2026-11-23T12:00:00Z@2026-11-23T12:01:30Z",
		},
		Held: []string{
			"172.18.41.46 node1 2026-11-23T12:00:00Z pod:shop/web-x until:2026-11-23T12:01:30Z",
			"172.18.41.47 - 2026-11-23T12:00:00Z 90s",
		},
		PodsSeenThrough: "9",
		Term:            "leader-1",
	}
	r := example(t)
	got := r.Encode()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	read, err := allocator.Decode(got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, read.Encode()); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	size := len(want.PodsSeenThrough) + len(want.Term)
	for _, set := range [][]string{want.Settled, want.Reserved, want.Retained, want.Held} {
		for _, l := range set {
			size += len(l) + 3
		}
	}
	if got.Size() != size {
		t.Errorf("size %d, want %d", got.Size(), size)
	}
}

func TestDecodeNamesWhatItRefuses(t *testing.T) {
	t.Parallel()
	retained := func(item string) func(*allocator.Encoded) {
		return func(e *allocator.Encoded) { e.Retained[1] = "default/StatefulSet.apps/web 0b7c: " + item }
	}
	held := func(words string) func(*allocator.Encoded) {
		return func(e *allocator.Encoded) { e.Held[1] = "172.18.41.47 - 2026-11-23T12:00:00Z " + words }
	}
	heldRefused := func(words, why string) string {
		return fmt.Sprintf(`status.held[1]: "172.18.41.47 - 2026-11-23T12:00:00Z %s": %s`, words, why)
	}
	reserved := func(line string) func(*allocator.Encoded) {
		return func(e *allocator.Encoded) { e.Reserved[2] = "172.18.41.45 " + line }
	}
	refused := func(line, why string) string {
		return fmt.Sprintf("status.reserved[2]: %q: %s", "172.18.41.45 "+line, why)
	}
	notAGrace := func(s string) string { return fmt.Sprintf("%q: not a grace of more than 30s, in whole seconds", s) }
	for name, tc := range map[string]struct {
		change  func(*allocator.Encoded)
		wantErr string
	}{
		"nothing wrong": {func(*allocator.Encoded) {}, ""},
		"a settled line": {func(e *allocator.Encoded) { e.Settled = append(e.Settled, "172.18.42.5,4") },
			`status.settled[1]: "172.18.42.5,4": not canonical, write "172.18.42.4-5"`},
		"settled and reserved": {func(e *allocator.Encoded) { e.Settled[0] = "172.18.41.40-42,45,50" },
			`status.reserved[2]: 172.18.41.45 stands elsewhere too`},
		"reserved and retained": {func(e *allocator.Encoded) { e.Retained[1] = "default/StatefulSet.apps/web 0b7c: -2=172.18.41.44" },
			`status.retained[1]: 172.18.41.44 stands elsewhere too`},
		"settled, and retained and in use": {func(e *allocator.Encoded) { e.Retained[1] = "default/StatefulSet.apps/web 0b7c: -2=172.18.41.40*" },
			`status.retained[1]: 172.18.41.40 stands elsewhere too`},
		"retained and held, on two lines": {func(e *allocator.Encoded) { e.Held[1] = "172.18.41.60 - 2026-11-23T12:00:00Z" },
			`status.held[1]: 172.18.41.60 stands elsewhere too`},
		"reserved twice": {func(e *allocator.Encoded) { e.Reserved[2] = "172.18.41.44 aaaaaaaaaaaaaaaa default" },
			`status.reserved[2]: 172.18.41.44 stands elsewhere too`},
		"another family": {func(e *allocator.Encoded) { e.Reserved[2] = "fc00::1 aaaaaaaaaaaaaaaa default" },
			`status.reserved[2]: recording fc00::1: the pool has addresses of the other family`},
		"one token for two": {func(e *allocator.Encoded) { e.Reserved[2] = "172.18.41.45 bbbbbbbbbbbbbbbb default" },
			`status: token bbbbbbbbbbbbbbbb stands at 172.18.41.44 and at 172.18.41.45`},
		"one token for reserved and pending admission": {func(e *allocator.Encoded) { e.Reserved[2] = "172.18.41.45 cccccccccccccccc default" },
			`status: token cccccccccccccccc stands at 172.18.41.45 and at 172.18.41.62`},
		"one identity for two": {func(e *allocator.Encoded) { e.Retained[1] = "default/StatefulSet.apps/web 0b7c: -1=172.18.41.62" },
			`status: identity default/StatefulSet.apps/web pod web-1 stands at 172.18.41.60 and at 172.18.41.62`},
		"one identity for reserved and retained": {
			func(e *allocator.Encoded) {
				e.Reserved[0] = "172.18.41.43 dddddddddddddddd default for:StatefulSet.apps/web/web-1"
			},
			`status: identity default/StatefulSet.apps/web pod web-1 stands at 172.18.41.43 and at 172.18.41.60`},
		"lines out of order": {func(e *allocator.Encoded) { e.Reserved[1], e.Reserved[2] = e.Reserved[2], e.Reserved[1] },
			`status.reserved[1]: "172.18.41.45 aaaaaaaaaaaaaaaa default": not canonical, write "172.18.41.44 bbbbbbbbbbbbbbbb default/late-x 77aa"`},

		"an owner on two lines": {func(e *allocator.Encoded) {
			e.Retained = []string{"default/Bare/web -: -0=172.18.41.64", "default/Bare/web -: -1=172.18.41.65"}
		}, `status.retained[0]: "default/Bare/web -: -0=172.18.41.64": not canonical, write "default/Bare/web -: -0=172.18.41.64 -1=172.18.41.65"`},
		"a pod's name not shortened": {func(e *allocator.Encoded) { e.Retained[1] = "default/StatefulSet.apps/web 0b7c: web-2=172.18.41.62" },
			`status.retained[1]: "default/StatefulSet.apps/web 0b7c: web-2=172.18.41.62": not canonical, write "default/StatefulSet.apps/web 0b7c: -2=172.18.41.62"`},
		"an owner without pods": {func(e *allocator.Encoded) { e.Retained[1] = "default/StatefulSet.apps/web 0b7c:" },
			`status.retained[1]: "default/StatefulSet.apps/web 0b7c:": want namespace/Kind.group/name, the owner's UID with a colon, and pods`},
		"an owner without UID": {func(e *allocator.Encoded) { e.Retained[1] = "default/StatefulSet.apps/web: -2=172.18.41.62" },
			`status.retained[1]: "default/StatefulSet.apps/web: -2=172.18.41.62": want namespace/Kind.group/name, the owner's UID with a colon, and pods`},
		"an owner without kind": {func(e *allocator.Encoded) { e.Retained[1] = "default/web 0b7c: -2=172.18.41.62" },
			`status.retained[1]: "default/web 0b7c: -2=172.18.41.62": want namespace/Kind.group/name, the owner's UID with a colon, and pods`},
		"a pod without address":       {retained("-2"), `status.retained[1]: "-2": "": not an address`},
		"a pod without name":          {retained("=172.18.41.62"), `status.retained[1]: "=172.18.41.62": name ""`},
		"in use twice":                {retained("-2=172.18.41.62**"), `status.retained[1]: "-2=172.18.41.62**": "**": nothing follows '*'`},
		"in use, with a grace":        {retained("-2=172.18.41.62*~60s"), `status.retained[1]: "-2=172.18.41.62*~60s": "*~60s": nothing follows '*'`},
		"unassigned, with a grace":    {retained("-2=172.18.41.62~60s"), `status.retained[1]: "-2=172.18.41.62~60s": "172.18.41.62~60s": not an address`},
		"pending admission of nobody": {retained("-2=172.18.41.62+"), `status.retained[1]: "-2=172.18.41.62+": token "": want 16 characters of a-z and 2-7`},
		"pending admission of two": {retained("-2=172.18.41.62+cccccccccccccccc+2222222222222222"),
			`status.retained[1]: "-2=172.18.41.62+cccccccccccccccc+2222222222222222": token "cccccccccccccccc+2222222222222222": want 16 characters of a-z and 2-7`},
		"pending admission, and in use": {retained("-2=172.18.41.62+cccccccccccccccc*"),
			`status.retained[1]: "-2=172.18.41.62+cccccccccccccccc*": token "cccccccccccccccc*": want 16 characters of a-z and 2-7`},
		"pending admission of a pod whose UID is empty": {retained("-2=172.18.41.62+cccccccccccccccc/"),
			`status.retained[1]: "-2=172.18.41.62+cccccccccccccccc/": pod "web-2" of namespace "default", UID "": name and UID go together`},
		"pending admission of a pod whose UID is none": {retained("-2=172.18.41.62+cccccccccccccccc/a/b"),
			`status.retained[1]: "-2=172.18.41.62+cccccccccccccccc/a/b": name "a/b"`},
		"pending admission, with the usual grace": {retained("-2=172.18.41.62+cccccccccccccccc~30s"),
			`status.retained[1]: "-2=172.18.41.62+cccccccccccccccc~30s": "30s": not a grace of more than 30s, in whole seconds`},
		"pending admission, the UID behind the grace": {retained("-2=172.18.41.62+cccccccccccccccc~60s/99cc"),
			`status.retained[1]: "-2=172.18.41.62+cccccccccccccccc~60s/99cc": "60s/99cc": not a grace of more than 30s, in whole seconds`},
		"retained and held, without time": {retained("-2=172.18.41.62@node1"), `status.retained[1]: "-2=172.18.41.62@node1": "": not a time`},
		"retained and held, without node": {retained("-2=172.18.41.62@@2026-11-23T12:00:00Z"),
			`status.retained[1]: "default/StatefulSet.apps/web 0b7c: -2=172.18.41.62@@2026-11-23T12:00:00Z": not canonical, write "default/StatefulSet.apps/web 0b7c: -2=172.18.41.62@-@2026-11-23T12:00:00Z"`},
		"retained and held, in half seconds": {retained("-2=172.18.41.62@-@2026-11-23T12:00:00.5Z"),
			`status.retained[1]: "default/StatefulSet.apps/web 0b7c: -2=172.18.41.62@-@2026-11-23T12:00:00.5Z": not canonical, write "default/StatefulSet.apps/web 0b7c: -2=172.18.41.62@-@2026-11-23T12:00:00Z"`},
		"retained and held, with two graces": {retained("-2=172.18.41.62@-@2026-11-23T12:00:00Z~60s~60s"),
			`status.retained[1]: "-2=172.18.41.62@-@2026-11-23T12:00:00Z~60s~60s": "60s~60s": not a grace of more than 30s, in whole seconds`},

		"a token that is none": {reserved("AAAAAAAAAAAAAAAA default"), refused("AAAAAAAAAAAAAAAA default", `token "AAAAAAAAAAAAAAAA": want 16 characters of a-z and 2-7`)},
		"a field too few": {reserved("aaaaaaaaaaaaaaaa"),
			refused("aaaaaaaaaaaaaaaa", `want address, token and namespace; or address, token, namespace/name and UID`)},
		"a late one without UID": {reserved("aaaaaaaaaaaaaaaa default/web"),
			refused("aaaaaaaaaaaaaaaa default/web", `want address, token, namespace/name and UID`)},
		"a late one without UID, with a word": {reserved("aaaaaaaaaaaaaaaa default/web grace:60s"), refused("aaaaaaaaaaaaaaaa default/web grace:60s", `name "grace:60s"`)},
		"a late one without name":             {reserved("aaaaaaaaaaaaaaaa default/ 77aa"), refused("aaaaaaaaaaaaaaaa default/ 77aa", `want address, token, namespace/name and UID`)},
		"an unknown word":                     {reserved("aaaaaaaaaaaaaaaa default 77aa"), refused("aaaaaaaaaaaaaaaa default 77aa", `"77aa": want by:, grace:, for:, of: or nic:`)},
		"another unknown word":                {reserved("aaaaaaaaaaaaaaaa default at:noon"), refused("aaaaaaaaaaaaaaaa default at:noon", `"at:noon": want by:, grace:, for:, of: or nic:`)},
		"a blank at the end":                  {reserved("aaaaaaaaaaaaaaaa default "), refused("aaaaaaaaaaaaaaaa default ", `"": want by:, grace:, for:, of: or nic:`)},
		"words out of order": {reserved("aaaaaaaaaaaaaaaa default grace:60s by:rqkmtdcs"),
			refused("aaaaaaaaaaaaaaaa default grace:60s by:rqkmtdcs", `not canonical, write "172.18.41.45 aaaaaaaaaaaaaaaa default by:rqkmtdcs grace:60s"`)},
		"a word twice": {reserved("aaaaaaaaaaaaaaaa default grace:60s grace:60s"),
			refused("aaaaaaaaaaaaaaaa default grace:60s grace:60s", `not canonical, write "172.18.41.45 aaaaaaaaaaaaaaaa default grace:60s"`)},
		"a word that says nothing": {reserved("aaaaaaaaaaaaaaaa default by:"),
			refused("aaaaaaaaaaaaaaaa default by:", `not canonical, write "172.18.41.45 aaaaaaaaaaaaaaaa default"`)},
		"an owner that is no digest": {reserved("aaaaaaaaaaaaaaaa default by:web"),
			refused("aaaaaaaaaaaaaaaa default by:web", `owner "web": want 8 characters of a-z and 2-7`)},
		"the usual grace":          {reserved("aaaaaaaaaaaaaaaa default grace:30s"), refused("aaaaaaaaaaaaaaaa default grace:30s", notAGrace("30s"))},
		"a grace without unit":     {reserved("aaaaaaaaaaaaaaaa default grace:60"), refused("aaaaaaaaaaaaaaaa default grace:60", notAGrace("60"))},
		"a grace in minutes":       {reserved("aaaaaaaaaaaaaaaa default grace:2m0s"), refused("aaaaaaaaaaaaaaaa default grace:2m0s", notAGrace("2m0s"))},
		"a grace in half seconds":  {reserved("aaaaaaaaaaaaaaaa default grace:60.5s"), refused("aaaaaaaaaaaaaaaa default grace:60.5s", notAGrace("60.5s"))},
		"a negative grace":         {reserved("aaaaaaaaaaaaaaaa default grace:-60s"), refused("aaaaaaaaaaaaaaaa default grace:-60s", notAGrace("-60s"))},
		"a grace beyond all pods":  {reserved("aaaaaaaaaaaaaaaa default grace:3153600001s"), refused("aaaaaaaaaaaaaaaa default grace:3153600001s", notAGrace("3153600001s"))},
		"a grace that goes around": {reserved("aaaaaaaaaaaaaaaa default grace:36028800172563968s"), refused("aaaaaaaaaaaaaaaa default grace:36028800172563968s", notAGrace("36028800172563968s"))},
		"a grace with a sign": {reserved("aaaaaaaaaaaaaaaa default grace:+60s"),
			refused("aaaaaaaaaaaaaaaa default grace:+60s", `not canonical, write "172.18.41.45 aaaaaaaaaaaaaaaa default grace:60s"`)},
		"an identity without pod": {reserved("aaaaaaaaaaaaaaaa default for:StatefulSet.apps/web"),
			refused("aaaaaaaaaaaaaaaa default for:StatefulSet.apps/web", `"for:StatefulSet.apps/web": want Kind.group/name/pod`)},
		"an identity whose pod is empty": {reserved("aaaaaaaaaaaaaaaa default for:StatefulSet.apps/web/"),
			refused("aaaaaaaaaaaaaaaa default for:StatefulSet.apps/web/", `name ""`)},
		"an identity with a namespace of its own": {reserved("aaaaaaaaaaaaaaaa default for:other/StatefulSet.apps/web/web-7"),
			refused("aaaaaaaaaaaaaaaa default for:other/StatefulSet.apps/web/web-7", `"for:other/StatefulSet.apps/web/web-7": want Kind.group/name/pod`)},
		"an identity with an empty group": {reserved("aaaaaaaaaaaaaaaa default for:Bare./web/web-7"),
			refused("aaaaaaaaaaaaaaaa default for:Bare./web/web-7", `not canonical, write "172.18.41.45 aaaaaaaaaaaaaaaa default for:Bare/web/web-7"`)},
		"an identity that is not the pod's": {reserved("aaaaaaaaaaaaaaaa default/web-8 77aa for:StatefulSet.apps/web/web-7"),
			refused("aaaaaaaaaaaaaaaa default/web-8 77aa for:StatefulSet.apps/web/web-7", `for default/StatefulSet.apps/web pod web-7: not the pod "web-8" of namespace "default"`)},
		"an owner's UID of no identity": {reserved("aaaaaaaaaaaaaaaa default of:5e1f"),
			refused("aaaaaaaaaaaaaaaa default of:5e1f", `UID "5e1f" of the owner of no identity`)},

		"a hold's time in another zone": {func(e *allocator.Encoded) { e.Held[1] = "172.18.41.47 - 2026-11-23T13:00:00+01:00" },
			`status.held[1]: "172.18.41.47 - 2026-11-23T13:00:00+01:00": not canonical, write "172.18.41.47 - 2026-11-23T12:00:00Z"`},
		"a hold's time that is none": {func(e *allocator.Encoded) { e.Held[1] = "172.18.41.47 - noon" },
			`status.held[1]: "172.18.41.47 - noon": "noon": not a time`},
		"a hold without time": {func(e *allocator.Encoded) { e.Held[1] = "172.18.41.47 -" },
			`status.held[1]: "172.18.41.47 -": want address, node, time, and perhaps a grace and words`},
		"a hold with two graces": {func(e *allocator.Encoded) { e.Held[1] = "172.18.41.47 - 2026-11-23T12:00:00Z 60s 60s" },
			`status.held[1]: "172.18.41.47 - 2026-11-23T12:00:00Z 60s 60s": "60s": want pod: or until:`},
		"a hold with a blank at the end": {held("60s "), heldRefused("60s ", `"": want pod: or until:`)},
		"a hold with words out of order": {held("until:2026-11-23T12:01:00Z pod:shop/web"),
			heldRefused("until:2026-11-23T12:01:00Z pod:shop/web", `not canonical, write "172.18.41.47 - 2026-11-23T12:00:00Z pod:shop/web until:2026-11-23T12:01:00Z"`)},
		"a hold with a grace behind a word": {held("pod:shop/web 60s"), heldRefused("pod:shop/web 60s", `"60s": want pod: or until:`)},
		"a hold of a pod twice": {held("pod:shop/web pod:shop/web"),
			heldRefused("pod:shop/web pod:shop/web", `not canonical, write "172.18.41.47 - 2026-11-23T12:00:00Z pod:shop/web"`)},
		"a hold of a namespace":             {held("pod:shop"), heldRefused("pod:shop", `"pod:shop": want namespace/name`)},
		"a hold of a pod of no namespace":   {held("pod:/web"), heldRefused("pod:/web", `name ""`)},
		"a hold of a namespace called dash": {held("pod:-/web"), heldRefused("pod:-/web", `name "-"`)},
		"a hold of nothing":                 {held("pod:/"), heldRefused("pod:/", `not canonical, write "172.18.41.47 - 2026-11-23T12:00:00Z"`)},
		"a hold until no time":              {held("until:noon"), heldRefused("until:noon", `"noon": not a time`)},
		"a hold until the year zero":        {held("until:0001-01-01T00:00:00Z"), heldRefused("until:0001-01-01T00:00:00Z", `not canonical, write "172.18.41.47 - 2026-11-23T12:00:00Z"`)},
		"a retained hold until no time":     {retained("-2=172.18.41.62@-@2026-11-23T12:00:00Z@~60s"), `status.retained[1]: "-2=172.18.41.62@-@2026-11-23T12:00:00Z@~60s": "": not a time`},
		"a hold with the usual grace": {func(e *allocator.Encoded) { e.Held[1] = "172.18.41.47 - 2026-11-23T12:00:00Z 30s" },
			`status.held[1]: "172.18.41.47 - 2026-11-23T12:00:00Z 30s": "30s": not a grace of more than 30s, in whole seconds`},
		"a hold's address that is none": {func(e *allocator.Encoded) { e.Held[1] = "172.18.41.047 - 2026-11-23T12:00:00Z" },
			`status.held[1]: "172.18.41.047 - 2026-11-23T12:00:00Z": "172.18.41.047": leading zeros, write 172.18.41.47`},

		"an empty mark spelled 0":        {func(e *allocator.Encoded) { e.PodsSeenThrough = "0" }, `status.podsSeenThrough: "0": not a positive number`},
		"a longest grace that is none":   {func(e *allocator.Encoded) { e.LongestGrace = "30s" }, `status.longestGrace: "30s": not a grace of more than 30s, in whole seconds`},
		"a longest grace in other words": {func(e *allocator.Encoded) { e.LongestGrace = "060s" }, `status.longestGrace: "060s": not a grace of more than 30s, in whole seconds`},
		"a mark with a sign":             {func(e *allocator.Encoded) { e.PodsSeenThrough = "+7" }, `status.podsSeenThrough: "+7": not a positive number`},
		"a mark too large":               {func(e *allocator.Encoded) { e.PodsSeenThrough = "18446744073709551616" }, `status.podsSeenThrough: "18446744073709551616": not a positive number`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := example(t).Encode()
			tc.change(&e)
			r, err := allocator.Decode(e)
			wantError(t, err, tc.wantErr)
			if (r == nil) != (tc.wantErr != "") {
				t.Errorf("record %v with error %v", r, err)
			}
		})
	}
}
