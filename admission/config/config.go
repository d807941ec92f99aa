package config

import (
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Exhaustion says what happens to a pod that its pools cannot give an address now.
type Exhaustion string

const (
	// ExhaustionWait admits the pod without an address; it waits gated, and gets one as soon as one
	// is free.
	ExhaustionWait Exhaustion = "wait"
	// ExhaustionReject refuses the pod; its controller retries with a backoff.
	ExhaustionReject Exhaustion = "reject"
)

// ReservationCap limits how many addresses of one pool may be reserved at a time for pods that were
// not seen yet.
type ReservationCap struct {
	// Namespace is the limit for the pods of one namespace, Owner for the pods of one controller.
	// 0: derived from the size of the pool.
	Namespace, Owner int
}

// Config is the configuration. It is not changed after it was parsed.
type Config struct {
	// EnableIPv4 and EnableIPv6 say which families are used at all: creating a pool of a disabled
	// family is refused, and one that exists is passed over. Keys enableIPv4 and enableIPv6,
	// default true; at least one must be true.
	EnableIPv4 bool
	EnableIPv6 bool

	// ClusterDefaultIPv4IPPool and ClusterDefaultIPv6IPPool are the pools of pods for which no
	// other rule names a pool, in the order to try them; the pools with spec.default follow.
	// Default empty.
	ClusterDefaultIPv4IPPool []string
	ClusterDefaultIPv6IPPool []string

	// DefaultNetwork says that we manage the default NIC of every pod. If false, only that of pods
	// with an annotation of their own that names pools. Key defaultNetwork, default true.
	DefaultNetwork bool

	// IgnoredNamespaces selects the namespaces whose pods are left alone. Key ignoredNamespaces, a
	// label selector with at least one requirement; default no namespace.
	IgnoredNamespaces labels.Selector

	// Exhaustion is what happens to a pod if its pools are full, not Ready or over their cap, or
	// its predecessor has not ended. Key exhaustion, default wait.
	Exhaustion Exhaustion

	// EnableStatefulSet says that pods of StatefulSets, the built-in ones and OpenKruise's, keep
	// their addresses: the next pod of a name gets those of the previous one. Key
	// enableStatefulSet, default true.
	EnableStatefulSet bool

	// StableIdentityKinds are further kinds of controllers with pods that keep their names, and so
	// their addresses; EnableStatefulSet does not affect them. Key stableIdentityKinds, a list of
	// group and kind; the group is left out for the core group. Default empty.
	StableIdentityKinds []schema.GroupKind

	// ReservationCap limits what retries can take of a pool. Key reservationCap, with namespace and
	// owner; the owner's may not be more than the namespace's. Default by the size of the pool.
	ReservationCap ReservationCap

	// ExpiryGrace is how long a reservation without a pod is kept. An admission that is still
	// running must not lose its address, so it is at least APIServerRequestTimeout plus 10 s. Key
	// expiryGrace, default 90s.
	ExpiryGrace time.Duration

	// APIServerRequestTimeout is the API server's --request-timeout: no admission runs longer. Key
	// apiServerRequestTimeout, default 60s, as the API server's.
	APIServerRequestTimeout time.Duration
}

// Default returns the configuration that an empty file means.
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
