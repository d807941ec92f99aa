package admission

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"

	"spidernet.io/spiderpool/admission/selection"
	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/choice"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// newChoice returns what was chosen for the pod of s. A pod without room for its annotations is
// refused before anything is reserved for it, with a *selection.Refusal.
func newChoice(s selection.Snapshot, chosen selection.Selection) (choice.Choice, error) {
	if len(chosen.Slots) == 0 {
		return choice.Choice{}, nil
	}
	if err := fits(s.Pod, chosen); err != nil {
		return choice.Choice{}, err
	}
	return choice.Choice{
		Ours:        true,
		Rule:        chosen.Rule,
		Slots:       chosen.Slots,
		Reservation: reservationOf(s.Pod, s.Namespace.Name, s.Config),
		Patch: func(token string, claims []crdv1.Claim) (choice.Patch, error) {
			return patchFor(chosen, token, claims)
		},
	}, nil
}

// fits returns an error where the annotations of a pod, with those for its addresses, would be
// larger than the API server accepts.
func fits(pod *corev1.Pod, chosen selection.Selection) error {
	has := 0
	for key, value := range pod.Annotations {
		has += len(key) + len(value)
	}
	needs, err := mostBytes(chosen)
	if err != nil {
		return err
	}
	if has+needs <= validation.TotalAnnotationSizeLimitB {
		return nil
	}
	return &selection.Refusal{Rule: chosen.Rule, Reason: fmt.Sprintf("metadata.annotations of the pod take %d bytes and its addresses need up to %d more: "+
		"the API server takes %d in all, so shorten the others", has, needs, validation.TotalAnnotationSizeLimitB)}
}

// mostBytes returns the most bytes that the annotations for a pod's addresses can take, whichever
// candidates give them.
func mostBytes(chosen selection.Selection) (int, error) {
	n := len(crdv1.AnnotationReservation) + len(allocator.NewToken())
	longest := map[string]*crdv1.Assigned{} // NIC -> the longest value that each key can have
	for _, slot := range chosen.Slots {
		a := longest[slot.NIC]
		if a == nil {
			a = &crdv1.Assigned{Interface: slot.NIC, CleanGateway: true, Vlan: 4095}
			longest[slot.NIC] = a
		}
		pool, address, gateway := "", "", ""
		var routes []crdv1.Route
		for _, name := range slot.Pools {
			spec := &chosen.Pools[name].Spec
			pool, address = longer(pool, name), longer(address, longestAddress[slot.Family])
			if spec.Gateway != nil {
				gateway = longer(gateway, *spec.Gateway)
			}
			if size(spec.Routes) > size(routes) {
				routes = spec.Routes
			}
		}
		a.Routes = append(a.Routes, routes...)
		if slot.Family == choice.IPv4 {
			a.IPv4Pool, a.IPv4, a.IPv4Gateway = pool, address, gateway
			continue
		}
		a.IPv6Pool, a.IPv6, a.IPv6Gateway = pool, address, gateway
	}
	for nic, a := range longest {
		value, err := json.Marshal(a)
		if err != nil {
			return 0, fmt.Errorf("encoding assignment of %s: %w", nic, err)
		}
		n += len(crdv1.AnnotationAssignedPrefix) + len(nic) + len(value)
	}
	return n, nil
}

var longestAddress = map[choice.Family]string{
	choice.IPv4: "255.255.255.255/32", choice.IPv6: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
}

func longer(a, b string) string {
	if len(b) > len(a) {
		return b
	}
	return a
}

func size(routes []crdv1.Route) (n int) {
	for _, r := range routes {
		n += len(r.Dst) + len(r.Gw) + len(`{"dst":"","gw":""},`)
	}
	return n
}

// patchFor returns what is written to a pod for which claims were reserved under token; claims[i]
// belongs to the i-th slot.
func patchFor(chosen selection.Selection, token string, claims []crdv1.Claim) (choice.Patch, error) {
	assigned, err := assignments(chosen, claims)
	if err != nil {
		return choice.Patch{}, err
	}
	written := map[string]string{crdv1.AnnotationReservation: token} // annotation -> value
	for _, a := range assigned {
		value, err := json.Marshal(a)
		if err != nil {
			return choice.Patch{}, fmt.Errorf("encoding assignment of %s: %w", a.Interface, err)
		}
		written[crdv1.AnnotationAssignedPrefix+a.Interface] = string(value)
	}
	return choice.Patch{Annotations: written}, nil
}

// reserveError says that candidate pools were found and gave no addresses.
type reserveError struct {
	choice choice.Choice
	cause  error
}

func (e *reserveError) Error() string {
	text := "pools chosen by " + e.choice.Rule + ": " + e.cause.Error()
	if passed := e.choice.PassedOver(); passed != "" {
		text += "; passed over: " + passed
	}
	return text
}

func (e *reserveError) Unwrap() error { return e.cause }
