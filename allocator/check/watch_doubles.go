package check

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// doubles tracks which pod has which addresses at each moment.
type doubles struct {
	seen      map[types.UID]string       // existing pod -> the resourceVersion last seen
	addresses map[types.UID][]netip.Addr // live pod -> its addresses
	holders   map[netip.Addr][]holder    // address -> live pods that have it
	found     []Violation
}

func newDoubles() *doubles {
	return &doubles{seen: map[types.UID]string{}, addresses: map[types.UID][]netip.Addr{}, holders: map[netip.Addr][]holder{}}
}

// see processes the newest state of a pod.
func (d *doubles) see(pod *corev1.Pod) {
	d.seen[pod.UID] = pod.ResourceVersion
	if !live(pod) {
		d.forget(pod.UID)
		return
	}
	h := holderOf(pod)
	addresses := runsWith(pod) // one that it does not claim may be another pod's, which is a double too
	for _, c := range h.claims {
		if !slices.Contains(addresses, c.Address) {
			addresses = append(addresses, c.Address)
		}
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	before := d.addresses[pod.UID]
	if slices.Equal(before, addresses) {
		return
	}
	d.forget(pod.UID)
	d.addresses[pod.UID] = addresses
	for _, a := range addresses {
		for _, other := range d.holders[a] {
			d.found = append(d.found, double(a, other, h))
		}
		d.holders[a] = append(d.holders[a], h)
	}
}

// gone processes that a pod was removed.
func (d *doubles) gone(uid types.UID) {
	delete(d.seen, uid)
	d.forget(uid)
}

// forget removes the addresses of a pod.
func (d *doubles) forget(uid types.UID) {
	for _, a := range d.addresses[uid] {
		d.holders[a] = slices.DeleteFunc(d.holders[a], func(h holder) bool { return h.UID == uid })
		if len(d.holders[a]) == 0 {
			delete(d.holders, a)
		}
	}
	delete(d.addresses, uid)
}
