package ledger

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/choice"
	"spidernet.io/spiderpool/allocator/ledger"
	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/apiserver"
)

// kube talks to the one API server of all tests.
var (
	kube       client.Client
	kubeConfig *rest.Config
)

func TestMain(m *testing.M) {
	if os.Getenv(historyVariable) != "" {
		os.Exit(historyProcess())
	}
	os.Exit(apiserver.Main(m, func(s *apiserver.Server) error {
		kube, kubeConfig = s.Client, s.Config
		return nil
	}))
}

// nothing is a watch that has shown nothing yet.
type nothing struct{}

func (nothing) Pool(string) (*crdv1.SpiderIPPool, bool) { return nil, false }

func newLedger(api ledger.API) *ledger.Ledger {
	return ledger.New(ledger.Options{API: api, Pools: nothing{}})
}

var pools atomic.Int64

// newPool makes a pool of its own for one test, and makes it Ready.
func newPool(t *testing.T, subnet string, ips ...string) *crdv1.SpiderIPPool {
	t.Helper()
	pool := &crdv1.SpiderIPPool{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("pool-%d", pools.Add(1))},
		Spec:       crdv1.IPPoolSpec{Subnet: subnet, IPs: ips},
	}
	makePool(t, pool)
	return pool
}

func makePool(t *testing.T, pool *crdv1.SpiderIPPool) {
	t.Helper()
	if err := kube.Create(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	change(t, pool.Name, func(tx *ledger.Tx) error {
		tx.InService = tx.Space
		meta.SetStatusCondition(&tx.Conditions, metav1.Condition{
			Type: crdv1.ConditionReady, Status: metav1.ConditionTrue, Reason: crdv1.ReasonInitialised, ObservedGeneration: tx.Pool.Generation,
		})
		return nil
	})
}

// record reads what the API server has.
func record(t *testing.T, pool string) *allocator.Record {
	t.Helper()
	object, err := ledger.NewAPI(kube).Get(context.Background(), pool)
	if err != nil {
		t.Fatal(err)
	}
	state, err := ledger.Read(object)
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(state.Record.Count()); *object.Status.AllocatedIPCount != want {
		t.Errorf("pool %s: allocatedIPCount is %d, its sets have %d", pool, *object.Status.AllocatedIPCount, want)
	}
	return state.Record
}

// reserve takes one address for a pod to come, in a namespace of its own: no cap is reached.
func reserve(ctx context.Context, l *ledger.Ledger, pools ...string) (allocator.Token, netip.Addr, error) {
	r := toCome("")
	r.Pod.Namespace = "of-" + string(r.Token)
	claims, err := l.Reserve(ctx, r, slotsOf(pools))
	if err != nil {
		return r.Token, netip.Addr{}, err
	}
	return r.Token, claims[0].Address, nil
}

func toCome(namespace string) allocator.Reservation {
	return allocator.Reservation{Token: allocator.NewToken(), Pod: allocator.PodRef{Namespace: namespace}}
}

// existing is the reservation of a pod that waits to be bound.
func existing(name string) allocator.Reservation {
	uid := "uid-of-" + name
	return allocator.Reservation{Token: allocator.LateToken(uid), Pod: allocator.PodRef{Namespace: "default", Name: name, UID: uid}}
}

// change does what the leader does.
func change(t *testing.T, pool string, do func(*ledger.Tx) error) {
	t.Helper()
	if err := newLedger(ledger.NewAPI(kube)).Apply(t.Context(), pool, ledger.Change{Do: do}); err != nil {
		t.Fatal(err)
	}
}

// cause returns why all candidates refused, or "".
func cause(err error) string {
	var exhausted *ledger.ExhaustedError
	if errors.As(err, &exhausted) {
		return exhausted.Cause()
	}
	return ""
}

// slotsOf are for the families of the default NIC.
func slotsOf(pools ...[]string) []choice.Slot {
	all := make([]choice.Slot, len(pools))
	for i, p := range pools {
		all[i] = choice.Slot{NIC: crdv1.DefaultNIC, Family: choice.Family(i % 2), Pools: p}
	}
	return all
}
