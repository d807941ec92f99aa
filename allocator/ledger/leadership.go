package ledger

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/types"
)

// ErrLeadershipLost says that another leader took an object over. Who is told so stops leading:
// what it saw and did not write yet proves nothing any more.
var ErrLeadershipLost = errors.New("another leader has taken it over")

// ErrReplaced says that the object of this name is another one than before.
var ErrReplaced = errors.New("it was made anew")

// Term names one leadership. A leader writes its term into each object that it takes over, and only
// there may it write from then on: two may believe that they lead, and that changes nothing (I6).
type Term string

// NewTerm returns a term that no other leadership has.
func NewTerm() Term { return Term(strings.ToLower(rand.Text()[:12])) }

// Fenced is a transaction on an object that leaders take over.
type Fenced interface {
	// subject says which object it is, and whose.
	subject() (name string, uid types.UID, term string)
	setTerm(string)
}

var _ Fenced = (*Tx)(nil)

// Fence wraps do so that it runs only while the object is the one with this UID and carries the
// term. Else its error is ErrReplaced or ErrLeadershipLost.
func Fence[T Fenced](term Term, uid types.UID, do func(T) error) func(T) error {
	return func(tx T) error {
		switch name, is, whose := tx.subject(); {
		case is != uid:
			return fmt.Errorf("%s: %w", name, ErrReplaced)
		case whose != string(term):
			return fmt.Errorf("%s: %w: its term is %q, this leader's is %q", name, ErrLeadershipLost, whose, term)
		}
		return do(tx)
	}
}

// TakeOver writes a term into the object with this UID, before it runs do.
func TakeOver[T Fenced](term Term, uid types.UID, do func(T)) func(T) error {
	return func(tx T) error {
		name, is, _ := tx.subject()
		if is != uid {
			return fmt.Errorf("%s: %w", name, ErrReplaced)
		}
		do(tx)
		tx.setTerm(string(term))
		return nil
	}
}

func (tx *Tx) subject() (name string, uid types.UID, term string) {
	return fmt.Sprintf("%s %q", poolKind, tx.Pool.Name), tx.Pool.UID, tx.Record.Term()
}

func (tx *Tx) setTerm(term string) { tx.Record.SetTerm(term) }
