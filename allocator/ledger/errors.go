package ledger

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNoPool says that the API server knows no pool of the name.
var ErrNoPool = errors.New("does not exist")

// RefusedError says why one pool gave no address although nothing is wrong with
// the cluster. The next candidate may.
type RefusedError struct {
	Pool   string
	Reason string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("reserving from pool %q: %s", e.Pool, e.Reason)
}

// ExhaustedError says that none of the candidates gave an address, and why each
// did not, in the order in which they were tried.
type ExhaustedError struct {
	Refusals []*RefusedError
}

func (e *ExhaustedError) Error() string {
	reasons := make([]string, len(e.Refusals))
	for i, r := range e.Refusals {
		reasons[i] = r.Error()
	}
	return strings.Join(reasons, "; ")
}

// Exhausted tells callers that do not know this package what the error means:
// no address now, maybe later.
func (e *ExhaustedError) Exhausted() bool { return true }

// UnreadableError says that a pool cannot be worked with as it stands: its spec
// or its record cannot be read, which nobody can reach through admission.
// Nothing is written to such a pool, so nothing of it is lost.
type UnreadableError struct {
	Pool string
	Err  error
}

func (e *UnreadableError) Error() string { return fmt.Sprintf("reading pool %q: %v", e.Pool, e.Err) }

// Unwrap returns what could not be read.
func (e *UnreadableError) Unwrap() error { return e.Err }

// OverBudgetError says that a record would grow past what etcd stores.
type OverBudgetError struct {
	Pool        string
	Size, Limit int // bytes
}

func (e *OverBudgetError) Error() string {
	return fmt.Sprintf("writing the record of pool %q: it would take %d bytes of at most %d; split the pool into smaller ones", e.Pool, e.Size, e.Limit)
}
