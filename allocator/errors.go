package allocator

import (
	"errors"
	"fmt"
	"net/netip"
)

// What a refused transition lacked. Every one of them arrives inside a *ConflictError, which also
// says what stands at the address.
var (
	ErrNotFree     = errors.New("not free")
	ErrNotReserved = errors.New("not reserved by this token")
	ErrNotSettled  = errors.New("not in use")
	ErrNotHeld     = errors.New("not held")
	ErrNotRetained = errors.New("not retained for this identity")
	// ErrAssigned says that the address is retained for the very identity that was named, and that
	// a pod of it has the address, may come with it, or vanished with it: two pods of one name must
	// not share it on the wire. The Use tells which.
	ErrAssigned = errors.New("already assigned")
)

var (
	// ErrInvalid marks what could not be recorded because it could not be written down and read
	// back: a name with a blank, an address of the other family, a token that is none.
	ErrInvalid = errors.New("invalid")
	// ErrElsewhere says that the token or the identity already has another address in this record;
	// each has at most one.
	ErrElsewhere = errors.New("has another address in this pool")
)

// ConflictError says that the state of an address does not allow a transition, and what that state
// is.
type ConflictError struct {
	Verb  string // "reserving", "settling", ...
	Addr  netip.Addr
	State State
	Use   Use
	By    string // who has it, for a person to read; empty for free and settled
	Cause error  // one of the sentinels above
}

func (e *ConflictError) Error() string {
	if e.By == "" {
		return fmt.Sprintf("%s %s: %v: it is %s", e.Verb, e.Addr, e.Cause, e.State)
	}
	return fmt.Sprintf("%s %s: %v: it is %s %s", e.Verb, e.Addr, e.Cause, e.State, e.By)
}

func (e *ConflictError) Unwrap() error { return e.Cause }

// invalidError is an ErrInvalid that says only what is wrong: callers put the name of the field
// before it.
type invalidError string

func (e invalidError) Error() string        { return string(e) }
func (e invalidError) Is(target error) bool { return target == ErrInvalid }

func invalidf(format string, args ...any) error { return invalidError(fmt.Sprintf(format, args...)) }
