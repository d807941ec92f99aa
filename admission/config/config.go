package config

import (
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Exhaustion says what becomes of a pod whose pools give no address now.
type Exhaustion string

const (
	// ExhaustionWait admits the pod without an address; it waits gated, and is given one as soon as there is one.
	ExhaustionWait Exhaustion = "wait"
	// ExhaustionReject refuses the pod; its controller tries again later, and later each time.
	ExhaustionReject Exhaustion = "reject"
)

// ReservationCap bounds how many addresses of one pool may be reserved at a time for pods that were not seen yet.
type ReservationCap struct {
	// Namespace bounds those for the pods of one namespace, Owner those for the pods of one controller. 0: by the size of the pool.
	Namespace, Owner int
}

// Config is the configuration. It is a value that nobody changes once it was parsed.
type Config struct {
	// EnableIPv4 and EnableIPv6 say which families are given at all: a pool of a disabled family is refused at its creation, and
	// what names one is passed over. Key enableIPv4 and enableIPv6, default true; one of them must be.
	EnableIPv4 bool
	EnableIPv6 bool

	// ClusterDefaultIPv4IPPool and ClusterDefaultIPv6IPPool are the pools of pods that no other rule gives a pool, in the order to
	// try them; after them come the pools with spec.default. Default none.
	ClusterDefaultIPv4IPPool []string
	ClusterDefaultIPv6IPPool []string

	// DefaultNetwork says that the default NIC of every pod is ours. False: only that of pods whose own annotation names pools.
	// Key defaultNetwork, default true.
	DefaultNetwork bool

	// IgnoredNamespaces selects the namespaces whose pods are left alone. Key ignoredNamespaces, a label selector with at least one
	// requirement; default no namespace.
	IgnoredNamespaces labels.Selector

	// Exhaustion is what becomes of a pod whose pools are full, not Ready, over their cap, or whose predecessor has not ended. Key
	// exhaustion, default wait.
	Exhaustion Exhaustion

	// EnableStatefulSet says that pods of StatefulSets, the built-in ones and OpenKruise's, keep their addresses: the next pod of a
	// name is given those of the one before. Key enableStatefulSet, default true.
	EnableStatefulSet bool

	// StableIdentityKinds are further kinds of controllers whose pods keep their names, and so their addresses, whatever
	// EnableStatefulSet says. Key stableIdentityKinds, a list of group and kind; the group is left out for the core group. Default
	// none.
	StableIdentityKinds []schema.GroupKind

	// ReservationCap bounds what retries can take of a pool. Key reservationCap, with namespace and owner; the owner's may not be
	// more than the namespace's. Default by the size of the pool.
	ReservationCap ReservationCap

	// ExpiryGrace is how long a reservation without a pod is kept. An admission that still lasts must not lose its address, so it
	// is at least APIServerRequestTimeout and 10 s more. Key expiryGrace, default 90s.
	ExpiryGrace time.Duration

	// APIServerRequestTimeout is the API server's --request-timeout: no admission lasts longer. Key apiServerRequestTimeout,
	// default 60s as the API server's.
	APIServerRequestTimeout time.Duration
}

// Default returns what an empty file means.
func Default() Config {
	return Config{
		EnableIPv4:              true,
		EnableIPv6:              true,
		DefaultNetwork:          true,
		IgnoredNamespaces:       labels.Nothing(),
		Exhaustion:              ExhaustionWait,
		EnableStatefulSet:       true,
		ExpiryGrace:             90 * time.Second,
		APIServerRequestTimeout: 60 * time.Second,
	}
}
