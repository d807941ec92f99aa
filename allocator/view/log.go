package view

import (
	"net/netip"

	"github.com/go-logr/logr"
)

// LogStep logs one step of an address's life, always with the same keys: a search for an address
// finds its history. For an unknown pod the values are empty; p MUST NOT be nil.
func LogStep(logger logr.Logger, verb, pool string, address netip.Addr, p *Pod, more ...any) {
	name := ""
	if p.Name != "" {
		name = p.String()
	}
	logger.Info("address "+verb, append([]any{"pool", pool, "address", address, "pod", name, "uid", p.UID, "node", p.Node}, more...)...)
}
