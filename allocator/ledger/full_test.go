package ledger

import (
	"testing"

	"spidernet.io/spiderpool/allocator"
)

func TestAFullPoolTellsHowManyAndUntilWhen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		usage    Usage
		want     string
		wantGist string
	}{
		"no addresses": {
			want:     "it has no addresses (spec.ips without spec.excludeIPs, spec.gateway, the next hops of spec.routes and the broadcast address)",
			wantGist: "it has no addresses (spec.ips without spec.excludeIPs, spec.gateway, the next hops of spec.routes and the broadcast address)",
		},
		"one address": {
			usage: Usage{Size: 1, Counts: allocator.Counts{Settled: 1}},
			want:  "its only address is taken (1 in use until its pod ends)", wantGist: "its only address is taken",
		},
		"one of each": {
			usage: Usage{Size: 4, Counts: allocator.Counts{Settled: 1, Reserved: 1, Retained: 1, Held: 1}},
			want: "all 4 addresses are taken (1 in use until its pod ends, 1 reserved until its pod comes or it expires, " +
				"1 kept for a stable identity until its owner is deleted or scaled down, 1 held until its node is Ready again, gone or out of service)",
			wantGist: "all 4 addresses are taken",
		},
		"retained ones count for what they are used for": {
			usage: Usage{Size: 14, Counts: allocator.Counts{Settled: 1, Reserved: 1, Retained: 11, Held: 1, PendingAdmission: 1, RetainedInUse: 2, RetainedHeld: 3}},
			want: "all 14 addresses are taken (3 in use until their pods end, 2 reserved until their pods come or they expire, " +
				"5 kept for stable identities until their owners are deleted or scaled down, 4 held until their nodes are Ready again, gone or out of service)",
			wantGist: "all 14 addresses are taken",
		},
		"some that are not handed out": {
			usage:    Usage{Size: 9, Counts: allocator.Counts{Settled: 2}, Withheld: []string{"7 named by SpiderReservedIPs"}},
			want:     "all 9 addresses are not handed out or taken (2 in use until their pods end, 7 named by SpiderReservedIPs)",
			wantGist: "all 9 addresses are not handed out or taken",
		},
		"some that others are given": {
			usage:    Usage{Size: 9, Counts: allocator.Counts{Settled: 8}, Given: 1},
			want:     "all 9 addresses are taken (8 in use until their pods end, 1 given to pods before it)",
			wantGist: "all 9 addresses are taken",
		},
		"nothing known of them": {usage: Usage{Size: 9}, want: "all 9 addresses are taken", wantGist: "all 9 addresses are taken"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := c.usage.String()
			if got != c.want {
				t.Errorf("got\n  %s\nwant\n  %s", got, c.want)
			}
			if gist := Gist(`pool "a": ` + got + `; pool "b": ` + got + ", and more"); gist != `pool "a": `+c.wantGist+`; pool "b": `+c.wantGist+", and more" {
				t.Errorf("the gist is\n  %s", gist)
			}
		})
	}
}
