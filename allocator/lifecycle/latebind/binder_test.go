package latebind

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/choice"
	"spidernet.io/spiderpool/allocator/ledger"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// cachedLedger answers Bind from a version of a pool, as a ledger does that finds nothing to write.
type cachedLedger struct {
	Ledger // for nothing else
	state  *ledger.State
}

func (c *cachedLedger) Available(*ledger.State, int) int { return 1 }

func (c *cachedLedger) MostKept(uint64) int { return 1 }

func (c *cachedLedger) Bind(_ context.Context, r allocator.Reservation, _ []choice.Slot, fence func(*ledger.Tx) error) ([]crdv1.Claim, error) {
	if err := fence(&ledger.Tx{State: c.state, Record: c.state.Record}); err != nil {
		return nil, err
	}
	a, ok := c.state.Record.ByToken(r.Token, crdv1.DefaultNIC)
	if !ok {
		a = x
	}
	return []crdv1.Claim{{Pool: c.state.Pool.Name, Address: a, NIC: crdv1.DefaultNIC}}, nil
}

// storedPool is the pool in the API server; nil where it is gone.
type storedPool struct {
	client.Reader // for nothing else
	pool          *crdv1.SpiderIPPool
}

func (s storedPool) Get(_ context.Context, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	if into, ok := object.(*crdv1.SpiderIPPool); ok && s.pool != nil {
		s.pool.DeepCopyInto(into)
		return nil
	}
	return apierrors.NewNotFound(crdv1.GroupVersion.WithResource("spiderippools").GroupResource(), key.Name)
}

const ourTerm = "ourterm"

// leading is a leader that has taken over all pools.
type leading struct{}

func (leading) Term() ledger.Term { return ourTerm }

func (leading) TookOver(*crdv1.SpiderIPPool) bool { return true }

func (leading) Decode(pool *crdv1.SpiderIPPool) (*ledger.State, error) { return ledger.Read(pool) }

// poolVersion returns a version of pool "a" under a term, with a reservation of the given address,
// if any, for the pod p.
func poolVersion(t *testing.T, term, reserved string) *ledger.State {
	t.Helper()
	pool := &crdv1.SpiderIPPool{
		ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "uid-a", ResourceVersion: "5"},
		Spec:       crdv1.IPPoolSpec{Subnet: "10.0.0.0/24", IPs: []string{"10.0.0.1-10.0.0.9"}},
		Status:     crdv1.IPPoolStatus{Term: term},
	}
	if reserved != "" {
		pool.Status.Reserved = []string{reserved + " " + string(allocator.LateToken("uid-p")) + " ns/p uid-p"}
	}
	state, err := ledger.Read(pool)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// What is reserved for a pod is written to it only where this leader has the pool, and a
// reservation that was found is confirmed: the ledger may have an old version.
func TestReservingForAPodThatExists(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		known   *ledger.State
		stored  *ledger.State // nil: the pool is gone
		uid     types.UID
		foreign bool
		want    string // address
		wantErr string
	}{
		"nothing was reserved":                                 {known: poolVersion(t, ourTerm, ""), uid: "uid-a", want: "10.0.0.1"},
		"what was reserved is still there":                     {known: poolVersion(t, ourTerm, "10.0.0.2"), stored: poolVersion(t, ourTerm, "10.0.0.2"), uid: "uid-a", want: "10.0.0.2"},
		"another leader has the pool, and it is known":         {known: poolVersion(t, "other", ""), uid: "uid-a", wantErr: ledger.ErrLeadershipLost.Error()},
		"another leader has the pool, and it is not known yet": {known: poolVersion(t, ourTerm, "10.0.0.2"), stored: poolVersion(t, "other", "10.0.0.2"), uid: "uid-a", wantErr: ledger.ErrLeadershipLost.Error()},
		"what was reserved is no longer there":                 {known: poolVersion(t, ourTerm, "10.0.0.2"), stored: poolVersion(t, ourTerm, ""), uid: "uid-a", wantErr: errOutdated.Error()},
		"another address is reserved":                          {known: poolVersion(t, ourTerm, "10.0.0.2"), stored: poolVersion(t, ourTerm, "10.0.0.3"), uid: "uid-a", wantErr: errOutdated.Error()},
		"the pool is gone":                                     {known: poolVersion(t, ourTerm, "10.0.0.2"), uid: "uid-a", wantErr: errOutdated.Error()},
		"the pool was recreated":                               {known: poolVersion(t, ourTerm, ""), uid: "uid-before", wantErr: ledger.ErrReplaced.Error()},
		"the pool is not one that this leader has taken over":  {known: poolVersion(t, ourTerm, ""), uid: "uid-a", foreign: true, wantErr: "not one that was decided upon"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stored := storedPool{}
			if c.stored != nil {
				stored.pool = c.stored.Pool
			}
			r := binder{api: stored, ledger: &cachedLedger{state: c.known}, leader: leading{}}
			s := &attempt{
				pendingPod: pendingOf(t, gated()),
				verdict:    verdict{request: waiter("p", 0, []string{"a"}), grants: []grant{{pool: "a"}}},
				capacities: map[string]*capacity{"a": {uid: c.uid, foreign: c.foreign}},
			}
			claims, err := r.reserve(t.Context(), s)
			switch {
			case c.wantErr != "":
				if err == nil || !strings.Contains(err.Error(), c.wantErr) {
					t.Errorf("got %v, %v, want %q", claims, err, c.wantErr)
				}
			case err != nil || len(claims) != 1 || claims[0].Address.String() != c.want:
				t.Errorf("got %v, %v, want %s", claims, err, c.want)
			}
		})
	}
}

func TestAnOldLeaderLosesLeadership(t *testing.T) {
	t.Parallel()
	var lost error
	r := binder{api: storedPool{}, ledger: &cachedLedger{state: poolVersion(t, "other", "")}, leader: leading{}, onLeadershipLost: func(err error) { lost = err }}
	s := &attempt{
		pendingPod: pendingOf(t, gated()),
		verdict:    verdict{request: waiter("p", 0, []string{"a"}), grants: []grant{{pool: "a"}}},
		capacities: map[string]*capacity{"a": {uid: "uid-a"}},
	}
	if err := r.bind(t.Context(), s, noon); err == nil || !errors.Is(lost, ledger.ErrLeadershipLost) {
		t.Errorf("got %v, leadership lost by %v", err, lost)
	}
}

// Candidates other than the decided one are asked only where one of them may keep the pod's own
// address.
func TestWhichPoolsAreAsked(t *testing.T) {
	t.Parallel()
	slots := [][]string{{"a", "b", "c"}, {"d"}}
	grants := []grant{{pool: "b"}, {pool: "d"}}
	for name, c := range map[string]struct {
		asks *request
		want [][]string
	}{
		"for a pod without an identity": {waiter("p", 0, slots...), [][]string{{"b"}, {"d"}}},
		"for a pod with an identity":    {stable(waiter("p", 0, slots...)), [][]string{{"b", "a"}, {"d"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &attempt{
				verdict:    verdict{request: c.asks, grants: grants},
				capacities: map[string]*capacity{"a": {}, "b": {}, "c": {foreign: true}, "d": {}},
			}
			var got [][]string
			for _, slot := range s.slots() {
				got = append(got, slot.Pools)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
