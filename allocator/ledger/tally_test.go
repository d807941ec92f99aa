package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// tally is an object that is no pool: its record is a list of words, one for each change. It is one
// version, and never changed.
type tally struct {
	name  string
	id    types.UID
	at    uint64
	term  string
	words []string
}

func (v *tally) revision() uint64 { return v.at }

func (v *tally) uid() types.UID { return v.id }

// tallyTx is a transaction on a tally.
type tallyTx struct {
	*tally
	term      string
	words     []string
	forgotten int
}

var _ Fenced = (*tallyTx)(nil)

func (tx *tallyTx) forget() { tx.forgotten++ }

func (tx *tallyTx) subject() (name string, uid types.UID, term string) {
	return "tally " + tx.name, tx.id, tx.tally.term
}

func (tx *tallyTx) setTerm(term string) { tx.term = term }

// tallies is an API server of tallies.
type tallies struct {
	mu            sync.Mutex
	at            uint64
	stored        map[string]*tally // name -> the present version
	reads, writes int

	// before and after, if set, run around the n-th write, counted from 1. The error of before
	// keeps it from being stored, that of after does not.
	before, after func(write int) error
}

var tallyResource = schema.GroupResource{Group: "test.example", Resource: "tallies"}

// put stores a version as somebody else than the committer.
func (s *tallies) put(v tally) *tally {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at++
	v.at = s.at
	if s.stored == nil {
		s.stored = map[string]*tally{}
	}
	s.stored[v.name] = &v
	return &v
}

func (s *tallies) get(name string) *tally {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stored[name]
}

func (s *tallies) counts() (reads, writes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads, s.writes
}

// tallyObject is a tally as its queue works with it. No watch shows it.
type tallyObject struct {
	*tallies
	name   string
	learnt []uint64 // revisions
}

var _ object[*tally, *tallyTx] = (*tallyObject)(nil)

func (o *tallyObject) watched(known *tally) (*tally, error) { return known, nil }

func (o *tallyObject) shown() bool { return o.get(o.name) != nil }

func (o *tallyObject) read(context.Context) (*tally, uint64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.reads++
	v, ok := o.stored[o.name]
	if !ok {
		return nil, 0, apierrors.NewNotFound(tallyResource, o.name)
	}
	if slices.Contains(v.words, "") {
		return nil, v.at, &UnreadableError{"tally", o.name, errors.New("a word is empty")}
	}
	return v, v.at, nil
}

func (o *tallyObject) begin(v *tally) *tallyTx {
	return &tallyTx{tally: v, term: v.term, words: slices.Clone(v.words)}
}

func (o *tallyObject) end(tx *tallyTx) (next *tally, size int, changed bool) {
	for _, w := range tx.words {
		size += len(w)
	}
	if tx.term == tx.tally.term && slices.Equal(tx.words, tx.tally.words) {
		return nil, size, false
	}
	v := *tx.tally
	v.term, v.words = tx.term, tx.words
	return &v, size, true
}

func (o *tallyObject) write(_ context.Context, next *tally) (*tally, error) {
	o.mu.Lock()
	o.writes++
	n := o.writes
	o.mu.Unlock()
	if o.before != nil {
		if err := o.before(n); err != nil {
			return nil, err
		}
	}
	now := o.get(o.name)
	switch {
	case now == nil:
		return nil, apierrors.NewNotFound(tallyResource, o.name)
	case now.at != next.at:
		return nil, apierrors.NewConflict(tallyResource, o.name, fmt.Errorf("it is at %d, not %d", now.at, next.at))
	}
	stored := o.put(*next)
	if o.after != nil {
		if err := o.after(n); err != nil {
			return nil, err
		}
	}
	return stored, nil
}

func (o *tallyObject) learned(_, after *tally) { o.learnt = append(o.learnt, after.at) }

// tallyBudget is the most bytes of words in a tally.
const tallyBudget = 20

var errNoTally = errors.New("there is no such tally")

// newTally returns a committer of tallies, an empty one named n, and whatever the committer says of
// a cluster that was restored.
func newTally() (*committer[*tally, *tallyTx], *tallies, *[]error) {
	var restored []error
	s := &tallies{}
	s.put(tally{name: "n", id: "uid"})
	return newCommitter(committerOptions{
		kind: "tally", budget: tallyBudget,
		onClusterRestored: func(err error) { restored = append(restored, err) },
		notFound:          func(string) error { return errNoTally },
	}, func(name string) object[*tally, *tallyTx] { return &tallyObject{tallies: s, name: name} }), s, &restored
}

// say adds a word that is not there yet.
func say(word string) ChangeOf[*tallyTx] {
	return ChangeOf[*tallyTx]{Grows: true, Do: func(tx *tallyTx) error {
		if !slices.Contains(tx.words, word) {
			tx.words = append(tx.words, word)
		}
		return nil
	}}
}

// unsay takes a word away.
func unsay(word string) ChangeOf[*tallyTx] {
	return ChangeOf[*tallyTx]{Do: func(tx *tallyTx) error {
		tx.words = slices.DeleteFunc(tx.words, func(w string) bool { return w == word })
		return nil
	}}
}

// says fails unless the words of tally n are these, in any order.
func (s *tallies) says(t *testing.T, want ...string) {
	t.Helper()
	got := slices.Sorted(slices.Values(s.get("n").words))
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("it says %q, want %q", got, want)
	}
}
