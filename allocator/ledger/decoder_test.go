package ledger

import (
	"net/netip"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

func TestAVersionOfAPoolIsReadOnce(t *testing.T) {
	t.Parallel()
	var d Decoder
	pool := &crdv1.SpiderIPPool{
		ObjectMeta: metav1.ObjectMeta{Name: "p", ResourceVersion: "1"},
		Spec:       crdv1.IPPoolSpec{Subnet: "10.0.0.0/24", IPs: []string{"10.0.0.1-10.0.0.9"}},
	}
	first, err1 := d.Read(pool)
	again, err2 := d.Read(pool)
	if first != again || err1 != nil || err2 != nil {
		t.Errorf("read as %p, %v and %p, %v", first, err1, again, err2)
	}
	next := pool.DeepCopy()
	next.ResourceVersion, next.Status.Settled = "2", []string{"10.0.0.1"}
	if state, err := d.Read(next); err != nil || state.Record.State(netip.MustParseAddr("10.0.0.1")) != allocator.StateSettled {
		t.Errorf("another version was not read: %v", err)
	}
	next = next.DeepCopy()
	next.ResourceVersion = "3"
	next.Status.Settled = []string{"no address"}
	if _, err := d.Read(next); err == nil {
		t.Error("a version that cannot be read was not read")
	}
}
