package v1

import "strings"

// Prefix of all annotations and labels that users and the product set.
const Prefix = "ipam.spidernet.io/"

// Annotations that users set on pods.
const (
	// AnnotationIPPool names the candidate pools of the default NIC:
	// {"ipv4":["a","b"],"ipv6":["c"]}.
	AnnotationIPPool = Prefix + "ippool"
	// AnnotationIPPools is the same for several NICs and beats AnnotationIPPool.
	AnnotationIPPools = Prefix + "ippools"
	// AnnotationSubnet names the subnet that a pool is made from.
	AnnotationSubnet = Prefix + "subnet"
	// AnnotationSubnets is the same for several NICs and beats AnnotationSubnet.
	AnnotationSubnets = Prefix + "subnets"
	// AnnotationIPPoolIPNumber is the size of an auto-created pool: "5" or "+2".
	AnnotationIPPoolIPNumber = Prefix + "ippool-ip-number"
	// AnnotationIPPoolReclaim says whether an auto-created pool goes with its application.
	AnnotationIPPoolReclaim = Prefix + "ippool-reclaim"
	// AnnotationRoutes are extra routes: [{"dst":"10.0.0.0/8","gw":"172.18.0.1"}].
	AnnotationRoutes = Prefix + "routes"
)

// Annotations that users set on namespaces; each is a JSON list of pool names.
const (
	AnnotationDefaultIPv4IPPool = Prefix + "default-ipv4-ippool"
	AnnotationDefaultIPv6IPPool = Prefix + "default-ipv6-ippool"
)

// Annotations that only the product sets on pods. What comes in at create is stripped: neither is a
// secret, so neither proves anything.
const (
	// AnnotationAssignedPrefix and the name of a NIC make the annotation that holds an Assigned;
	// the CNI plugin reads it.
	AnnotationAssignedPrefix = Prefix + "assigned-"
	// AnnotationReservation holds the token of the pod's reservations.
	AnnotationReservation = Prefix + "reservation"
	// AnnotationUnassigned says why the webhook admitted the pod without an address and without the
	// gate: one of the reasons of the condition AddressAssigned. Late binding removes it. It is for
	// people and messages, and proves nothing.
	AnnotationUnassigned = Prefix + "unassigned"
	// AnnotationEnded says why a pod with addresses has ended although no kubelet said so: its node
	// is gone or out of service, and its phase is terminal. Its addresses are given to others from
	// there on, so it stays for ever.
	AnnotationEnded = Prefix + "ended"
)

// OnlyOurs reports whether only the product sets an annotation on pods.
func OnlyOurs(key string) bool {
	switch key {
	case AnnotationReservation, AnnotationUnassigned, AnnotationEnded:
		return true
	}
	return strings.HasPrefix(key, AnnotationAssignedPrefix)
}

// DefaultNIC is the name of the NIC on the pod network.
const DefaultNIC = "eth0"
