package behaviours

import (
	"time"

	"spidernet.io/spiderpool/e2e/install"
)

// Times that tests cannot wait for at their usual length.
const (
	// RequestTimeout is the API server's --request-timeout.
	RequestTimeout = 10 * time.Second
	// Grace is how long a reservation lives that no pod comes for.
	Grace = 20 * time.Second
	// Patience bounds what takes seconds on a computer that does nothing else.
	Patience = time.Minute
)

// ControllerFlags make a successor lead soon after its predecessor was killed.
var ControllerFlags = []string{
	"--leader-election-lease-duration=3s",
}

// DefaultPools are the cluster's default pools in the tests' configuration; the behaviour
// annot-precedence owns them.
const (
	DefaultPoolV4 = "annot-precedence-cluster-v4"
	DefaultPoolV6 = "annot-precedence-cluster-v6"
)

// SparedNamespace is one that the pods' webhook does not see; the behaviour annot-forged owns it.
const SparedNamespace = "annot-forged-spared"

// ChartValues are the values of the tests' installation.
func ChartValues(url string) install.Values {
	return install.Values{
		"controller": install.Values{"url": url},
		"webhook":    install.Values{"sparedNamespaces": []string{SparedNamespace}},
		"config": install.Values{
			"expiryGrace":              Grace.String(),
			"apiServerRequestTimeout":  RequestTimeout.String(),
			"clusterDefaultIPv4IPPool": []string{DefaultPoolV4},
			"clusterDefaultIPv6IPPool": []string{DefaultPoolV6},
		},
	}
}
