package lifecycle

import (
	"errors"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/view"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// However many pods vanish at once, and whatever their addresses were then: a settled address costs
// nothing in the record, a held one a line.
func TestMoreThanARecordHoldsStaysAsItIs(t *testing.T) {
	t.Parallel()
	const most, vanished = 30, 40
	reserve := func(r *allocator.Record, p *view.Pod, v allocator.Reservation) error {
		return r.Reserve(p.Claims[0].Address, v)
	}
	settle := func(r *allocator.Record, p *view.Pod, v allocator.Reservation) error {
		return errors.Join(reserve(r, p, v), r.Settle(p.Claims[0].Address, v.Token, 1))
	}
	stable := func(record func(*allocator.Record, *view.Pod, allocator.Reservation) error) func(*allocator.Record, *view.Pod, allocator.Reservation) error {
		return func(r *allocator.Record, p *view.Pod, v allocator.Reservation) error {
			v.For, v.ForUID = identityOfTests(p)
			return record(r, p, v)
		}
	}
	for name, c := range map[string]struct {
		record func(*allocator.Record, *view.Pod, allocator.Reservation) error
		unseen bool // they vanished while nobody led
		want   allocator.Counts
	}{
		"in use":                       {settle, false, allocator.Counts{Held: most, Settled: vanished - most}},
		"in use, of stable identities": {stable(settle), false, allocator.Counts{Retained: vanished, RetainedHeld: most, RetainedInUse: vanished - most}},
		"reserved":                     {reserve, false, allocator.Counts{Held: most, Reserved: vanished - most}},
		"reserved for stable identities": {
			stable(reserve), false, allocator.Counts{Retained: most, RetainedHeld: most, Reserved: vanished - most},
		},
		"in use, and nobody led": {settle, true, allocator.Counts{Held: most, Settled: vanished - most}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, holders := &allocator.Record{}, map[netip.Addr]types.UID{}
			o := observations{ends: map[podAddress]end{}, unseen: map[netip.Addr]orphanedAllocation{}}
			for i, a := 0, netip.MustParseAddr("10.1.0.0"); i < vanished; i, a = i+1, a.Next() {
				p := pod("web-"+strconv.Itoa(i), allocator.LateToken(a.String()), 20)
				p.Claims = []crdv1.Claim{{Pool: "p", Address: a}}
				if err := c.record(r, p, allocator.Reservation{Token: allocator.Token(p.Token), Pod: allocator.PodRef{Namespace: p.Namespace}}); err != nil {
					t.Fatal(err)
				}
				if c.unseen {
					o.unseen[a] = orphanOf([]*view.Pod{p}, 0, moment)
					continue
				}
				holders[a], o.ends[podAddress{p.UID, a}] = p.UID, end{pod: p, revision: 20, vanished: true, noticed: moment}
			}
			d := tending{
				pool: "p", claims: podView{revision: 20}, identity: identityOfTests, now: moment.Add(time.Hour), observations: o, nodes: well{"node": 0}, mostHeld: most,
				in: func(netip.Addr) bool { return true }, holder: func(a netip.Addr) types.UID { return holders[a] },
			}
			if err := d.do(r); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, r.Counts()); diff != "" || !d.full {
				t.Errorf("full %t (-want +got):\n%s", d.full, diff)
			}
			// What is not acted upon is kept in mind, however long: without it a reservation would
			// expire.
			_, _, over := d.outcome()
			if n := len(over.ends) + len(over.unseen); n != most {
				t.Errorf("%d of %d are forgotten, want those %d that are held", n, vanished, most)
			}
		})
	}
}

func TestAHoldSaysWhoseItIsAndUntilWhen(t *testing.T) {
	t.Parallel()
	a := pod("a", tokenA, 10)
	a.Grace = time.Hour
	whose := allocator.PodRef{Namespace: "default", Name: "a"}
	for name, c := range map[string]struct {
		nodes well
		pod   *view.Pod
		want  allocator.Hold
	}{
		"on a node that is Ready": {
			well{"node": time.Second}, a,
			allocator.Hold{Node: "node", Since: moment, Grace: time.Hour, Pod: whose, Until: moment.Add(time.Hour + time.Minute)},
		},
		"with the usual grace": {
			well{"node": time.Second}, pod("a", tokenA, 10),
			allocator.Hold{Node: "node", Since: moment, Pod: whose, Until: moment.Add(90 * time.Second)},
		},
		"on a node that is not Ready": {well{"node": 0}, a, allocator.Hold{Node: "node", Since: moment, Grace: time.Hour, Pod: whose}},
		"on no node that is known":    {well{}, a, allocator.Hold{Node: "node", Since: moment, Grace: time.Hour, Pod: whose}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, (&tending{nodes: c.nodes, now: moment}).holdFor(c.pod)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
