package choice

import (
	"strings"

	"spidernet.io/spiderpool/allocator"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// Family is IPv4 or IPv6.
type Family int

// The families, in the order in which they are asked for.
const (
	IPv4 Family = iota
	IPv6
)

func (f Family) String() string { return [...]string{"IPv4", "IPv6"}[f] }

// Slot is one address that a pod asks for.
type Slot struct {
	// NIC is the interface of the pod that the address is for.
	NIC    string
	Family Family
	// Pools may give the address, in the order in which they are tried; never empty.
	Pools []string
	// PassedOver are the pools that the rule names and that cannot serve the pod.
	PassedOver []PassedOver
}

// PassedOver is a pool that cannot serve a pod.
type PassedOver struct {
	Pool   string
	Reason string // continues a sentence that starts with the pool's name
}

func (p PassedOver) String() string { return `"` + p.Pool + `" ` + p.Reason }

// Choice is what a pod asks for.
type Choice struct {
	// Ours is false for a pod that is left alone; the other fields are unset then.
	Ours bool
	// Rule says which rule chose the pools, for messages.
	Rule string
	// Slots are the addresses, ordered by NIC and family.
	Slots []Slot
	// Reservation is what a reservation keeps of the pod, without its token and NIC and, of a
	// stored pod, without its name and UID.
	Reservation allocator.Reservation
	// NotYet says why nothing is reserved now, on purpose; nil where something is. Late binding
	// chooses again when the pod has changed.
	NotYet *Reason
	// Patch returns the patch that gives the pod these claims, reserved under token; claims[i]
	// belongs to Slots[i]. Without claims it is the patch for a pod that is not given addresses
	// yet.
	Patch func(token string, claims []crdv1.Claim) (Patch, error)
}

// Reason is why a pod has no address yet: a reason of its condition AddressAssigned, and a message.
type Reason struct{ Reason, Message string }

// PassedOver says which pools were passed over and why; empty where none was.
func (c Choice) PassedOver() string {
	var all []string
	for _, s := range c.Slots {
		for _, p := range s.PassedOver {
			all = append(all, p.String())
		}
	}
	return strings.Join(all, "; ")
}
