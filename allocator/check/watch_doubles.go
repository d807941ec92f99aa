package check

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// doubles knows at each moment who carries what.
type doubles struct {
	seen    map[types.UID]string       // pod that is there -> the resourceVersion last seen
	carried map[types.UID][]netip.Addr // live pod -> its addresses
	holders map[netip.Addr][]holder    // address -> live pods that carry it
	found   []Violation
}

func newDoubles() *doubles {
	return &doubles{seen: map[types.UID]string{}, carried: map[types.UID][]netip.Addr{}, holders: map[netip.Addr][]holder{}}
}

// see takes in the newest state of a pod.
func (d *doubles) see(pod *corev1.Pod) {
	d.seen[pod.UID] = pod.ResourceVersion
	if !live(pod) {
		d.forget(pod.UID)
		return
	}
	h := holderOf(pod)
	addresses := runsWith(pod) // one that it does not claim is another's double too
	for _, c := range h.claims {
		if !slices.Contains(addresses, c.Address) {
			addresses = append(addresses, c.Address)
		}
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	before := d.carried[pod.UID]
	if slices.Equal(before, addresses) {
		return
	}
	d.forget(pod.UID)
	d.carried[pod.UID] = addresses
	for _, a := range addresses {
		for _, other := range d.holders[a] {
			d.found = append(d.found, double(a, other, h))
		}
		d.holders[a] = append(d.holders[a], h)
	}
}

// gone takes in that a pod is there no more.
func (d *doubles) gone(uid types.UID) {
	delete(d.seen, uid)
	d.forget(uid)
}

// forget takes in that a pod carries nothing any more.
func (d *doubles) forget(uid types.UID) {
	for _, a := range d.carried[uid] {
		d.holders[a] = slices.DeleteFunc(d.holders[a], func(h holder) bool { return h.UID == uid })
		if len(d.holders[a]) == 0 {
			delete(d.holders, a)
		}
	}
	delete(d.carried, uid)
}
