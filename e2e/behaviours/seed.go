package behaviours

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// seedVariable repeats what another run did at random, as far as it can be.
const seedVariable = "SPIDERPOOL_SEED"

// Seed returns the seed of a test that does things at random, and logs it.
func Seed(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano()) // any number will do
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("reading $%s: %v", seedVariable, err)
		}
	}
	t.Logf("seed %d; %s=%d repeats it", seed, seedVariable, seed)
	return seed
}
