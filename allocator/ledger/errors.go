package ledger

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// ErrNotFound says that the API server knows no object of the name.
var ErrNotFound = errors.New("does not exist")

// RefusedError says why one pool gave no address although nothing is wrong with the cluster. The
// next candidate may.
type RefusedError struct {
	Pool   string
	Reason string
	// Cause is the kind of the reason: one of weights.
	Cause string

	final bool // the pool keeps the pod's own address: no other candidate may serve
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("reserving from pool %q: %s", e.Pool, e.Reason)
}

// passing reports whether the cause may be over in a moment: a predecessor is just ending, a pod of
// the namespace is just being seen.
func (e *RefusedError) passing() bool {
	return e.Cause == crdv1.ReasonPredecessor || e.Cause == crdv1.ReasonOverCap
}

// ExhaustedError says that none of the candidates gave an address, and why each did not, in the
// order in which they were tried.
type ExhaustedError struct {
	Refusals []*RefusedError

	lasting bool // of several slots one has no refusal that passes
}

func (e *ExhaustedError) Error() string {
	reasons := make([]string, len(e.Refusals))
	for i, r := range e.Refusals {
		reasons[i] = r.Error()
	}
	return strings.Join(reasons, "; ")
}

// Exhausted tells callers that do not know this package what the error means: no address now, maybe
// later.
func (e *ExhaustedError) Exhausted() bool { return true }

// Cause returns the weightiest of the refusals' causes.
func (e *ExhaustedError) Cause() string {
	causes := make([]string, len(e.Refusals))
	for i, r := range e.Refusals {
		causes[i] = r.Cause
	}
	return Weightiest(causes)
}

// Passing reports whether asking again in a moment may help.
func (e *ExhaustedError) Passing() bool {
	return !e.lasting && slices.ContainsFunc(e.Refusals, (*RefusedError).passing)
}

// UnreadableError says that an object cannot be worked with as it stands: its spec or its record
// cannot be read, which nobody can reach through admission. Nothing is written to such an object,
// so nothing of it is lost.
type UnreadableError struct {
	Kind, Name string
	Err        error
}

func (e *UnreadableError) Error() string {
	return fmt.Sprintf("reading %s %q: %v", e.Kind, e.Name, e.Err)
}

// Unwrap returns what could not be read.
func (e *UnreadableError) Unwrap() error { return e.Err }

// OverBudgetError says that a record would grow past what etcd stores.
type OverBudgetError struct {
	Kind, Name  string
	Size, Limit int // bytes
}

func (e *OverBudgetError) Error() string {
	return fmt.Sprintf("writing the record of %s %q: it would take %d bytes of at most %d; split the %[1]s into smaller ones", e.Kind, e.Name, e.Size, e.Limit)
}

// ClusterRestoredError says that the API server has an older version of an object than it had
// before (I11): it was restored from a backup, and all that this process remembers is of another
// history.
type ClusterRestoredError struct {
	Kind, Name  string
	Known, Read uint64 // resourceVersions
}

func (e *ClusterRestoredError) Error() string {
	return fmt.Sprintf("reading %s %q: its resourceVersion went back from %d to %d: the cluster was restored to an earlier state", e.Kind, e.Name, e.Known, e.Read)
}
