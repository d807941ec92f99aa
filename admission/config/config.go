package config

import (
	"time"

	"k8s.io/apimachinery/pkg/labels"
)

// Exhaustion says what becomes of a pod whose pools have no address left.
type Exhaustion string

// ExhaustionReject refuses the pod; its controller tries again later.
const ExhaustionReject Exhaustion = "reject"

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

	// Exhaustion is what becomes of a pod whose pools are full. Key exhaustion, default reject.
	Exhaustion Exhaustion

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
		Exhaustion:              ExhaustionReject,
		ExpiryGrace:             90 * time.Second,
		APIServerRequestTimeout: 60 * time.Second,
	}
}
