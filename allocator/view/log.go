package view

import (
	"net/netip"

	"github.com/go-logr/logr"
)

// LogStep writes the one line that each step of an address's life has, with the
// keys that all of them have: a search for an address finds its history. A pod
// that is not known has empty values, p is never nil.
func LogStep(logger logr.Logger, verb, pool string, address netip.Addr, p *Pod, more ...any) {
	name := ""
	if p.Name != "" {
		name = p.String()
	}
	logger.Info("address "+verb, append([]any{"pool", pool, "address", address, "pod", name, "uid", p.UID, "node", p.Node}, more...)...)
}
