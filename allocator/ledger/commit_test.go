package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// What is proven here of an object that is no pool is proven of pools against a real API server,
// under e2e/ledger.

func TestChangesThatWaitForTheWriteInFlightShareTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s, _ := newTally()
		open := make(chan struct{})
		s.before = func(write int) error {
			if write == 1 {
				<-open
			}
			return nil
		}
		var wg sync.WaitGroup
		var want []string
		for i := range 9 {
			want = append(want, fmt.Sprint(i))
			wg.Go(func() {
				if err := c.apply(t.Context(), "n", say(fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		if n := c.queued("n"); n != 8 {
			t.Errorf("%d changes wait for the write in flight, want 8", n)
		}
		close(open)
		wg.Wait()
		s.says(t, want...)
		if reads, writes := s.counts(); reads != 1 || writes != 2 {
			t.Errorf("%d reads and %d writes for nine changes, want 1 and 2", reads, writes)
		}
	})
}

func TestAnErrorOfOneChangeIsNotThatOfTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s, _ := newTally()
		errNo := errors.New("no")
		patient := func(change ChangeOf[*tallyTx]) ChangeOf[*tallyTx] {
			change.Patience = time.Second
			return change
		}
		var wg sync.WaitGroup
		for change, want := range map[*ChangeOf[*tallyTx]]error{
			new(patient(say("a"))): nil,
			new(patient(say("b"))): nil,
			new(patient(ChangeOf[*tallyTx]{Do: func(*tallyTx) error { return errNo }})): errNo,
		} {
			wg.Go(func() {
				if err := c.apply(t.Context(), "n", *change); !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
			})
		}
		wg.Wait()
		s.says(t, "a", "b")
		if _, writes := s.counts(); writes != 1 {
			t.Errorf("%d writes, want one", writes)
		}
		// There is nothing to write and a refusal: it is confirmed by a read.
		before, _ := s.counts()
		if err := c.apply(t.Context(), "n", ChangeOf[*tallyTx]{Do: func(*tallyTx) error { return errNo }}); !errors.Is(err, errNo) {
			t.Errorf("got %v, want %v", err, errNo)
		}
		if reads, writes := s.counts(); reads != before+1 || writes != 1 {
			t.Errorf("%d reads and %d writes for a refusal, want one read", reads-before, writes-1)
		}
	})
}

func TestOneChangeIsStoredOnceWhateverBecomesOfItsWrites(t *testing.T) {
	t.Parallel()
	errLost := apierrors.NewTimeoutError("the answer was lost", 0)
	for name, c := range map[string]struct {
		before, after func(s *tallies, write int) error
		want          []string
		wantReads     int
		wantWrites    int
	}{
		"nothing goes wrong": {want: []string{"mine"}, wantReads: 1, wantWrites: 1},
		"somebody else wrote first": {
			before: func(s *tallies, write int) error {
				if write == 1 {
					v := *s.get("n")
					v.words = []string{"theirs"}
					s.put(v)
				}
				return nil
			},
			want: []string{"mine", "theirs"}, wantReads: 2, wantWrites: 2,
		},
		"the write landed and its answer was lost": {
			after: func(*tallies, int) error { return errLost },
			want:  []string{"mine"}, wantReads: 2, wantWrites: 1,
		},
		"the write was lost": {
			before: func(_ *tallies, write int) error {
				if write == 1 {
					return errLost
				}
				return nil
			},
			want: []string{"mine"}, wantReads: 2, wantWrites: 2,
		},
		"the write landed unheard, and somebody undid it": {
			after: func(s *tallies, write int) error {
				if write > 1 {
					return nil
				}
				v := *s.get("n")
				v.words = nil
				s.put(v)
				return errLost
			},
			want: []string{"mine"}, wantReads: 2, wantWrites: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				committer, s, _ := newTally()
				if c.before != nil {
					s.before = func(n int) error { return c.before(s, n) }
				}
				if c.after != nil {
					s.after = func(n int) error { return c.after(s, n) }
				}
				if err := committer.apply(t.Context(), "n", say("mine")); err != nil {
					t.Fatal(err)
				}
				s.says(t, c.want...)
				if reads, writes := s.counts(); reads != c.wantReads || writes != c.wantWrites {
					t.Errorf("%d reads and %d writes, want %d and %d", reads, writes, c.wantReads, c.wantWrites)
				}
			})
		})
	}
}

func TestATallyThatIsNotThereIsToldOf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s, _ := newTally()
		if err := c.apply(t.Context(), "other", say("a")); !errors.Is(err, errNoTally) {
			t.Errorf("one that never was: %v", err)
		}
		s.before = func(int) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.stored, "n")
			return nil
		}
		if err := c.apply(t.Context(), "n", say("a")); !errors.Is(err, errNoTally) {
			t.Errorf("one that goes before the write: %v", err)
		}
		synctest.Wait()
		if c.mu.Lock(); len(c.queues) > 0 {
			t.Errorf("%d queues are kept for what is gone", len(c.queues))
		}
		c.mu.Unlock()
		s.before = nil
		s.put(tally{name: "n", id: "another"})
		if err := c.apply(t.Context(), "n", say("b")); err != nil {
			t.Errorf("one that was made anew: %v", err)
		}
		s.says(t, "b")
	})
}

func TestATallyThatCannotBeReadIsNotWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s, _ := newTally()
		s.put(tally{name: "n", id: "uid", words: []string{""}})
		err := c.apply(t.Context(), "n", say("a"))
		if want := `reading tally "n": a word is empty`; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if _, writes := s.counts(); writes > 0 {
			t.Errorf("it was written %d times", writes)
		}
	})
}

func TestNothingIsWrittenToAClusterThatWasRestored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s, told := newTally()
		backup := s.get("n")
		s.put(tally{name: "other", id: "uid"})
		for _, word := range []string{"a", "b"} {
			if err := c.apply(t.Context(), "n", say(word)); err != nil {
				t.Fatal(err)
			}
		}
		s.mu.Lock()
		s.stored["n"] = backup
		s.mu.Unlock()
		_, before := s.counts()
		for _, name := range []string{"n", "n", "other"} {
			var restored *ClusterRestoredError
			if err := c.apply(t.Context(), name, say("c")); !errors.As(err, &restored) || restored.Kind != "tally" || restored.Name != "n" ||
				restored.Known != 4 || restored.Read != backup.at {
				t.Errorf("tally %s: got %v", name, err)
			}
		}
		if len(*told) != 1 {
			t.Errorf("it was told %d times, want once: %v", len(*told), *told)
		}
		if _, writes := s.counts(); writes != before+1 || s.get("n") != backup { // one, which broke its precondition
			t.Errorf("%d writes were tried, and the tally is %+v", writes-before, s.get("n"))
		}
	})
}

func TestAFullTallyRefusesWhatGrowsAndTakesWhatDoesNot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s, _ := newTally()
		if err := c.apply(t.Context(), "n", say(strings.Repeat("x", tallyBudget-1))); err != nil {
			t.Fatal(err)
		}
		if err := c.apply(t.Context(), "n", say("y")); err != nil {
			t.Errorf("the last byte: %v", err)
		}
		patient := func(change ChangeOf[*tallyTx]) error {
			change.Patience = time.Second
			return c.apply(t.Context(), "n", change)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			var full *OverBudgetError
			if err := patient(say("zz")); !errors.As(err, &full) || full.Kind != "tally" || full.Name != "n" || full.Size != tallyBudget+1 || full.Limit != tallyBudget {
				t.Errorf("a change that grows: %v", err)
			}
		})
		wg.Go(func() {
			if err := patient(unsay("y")); err != nil {
				t.Errorf("one that does not, in the same write: %v", err)
			}
		})
		wg.Wait()
		s.says(t, strings.Repeat("x", tallyBudget-1))
	})
}

func TestTheWriterStopsAtOnceWhenNobodyWaitsAnyMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s, _ := newTally()
		errDown := errors.New("connection refused")
		tried := make(chan struct{})
		s.before = func(write int) error {
			if write == 9 {
				close(tried)
			}
			return errDown
		}
		gone := errors.New("the caller went away")
		one, goOne := context.WithCancelCause(t.Context())
		two, goTwo := context.WithCancelCause(t.Context())
		var wg sync.WaitGroup
		for word, ctx := range map[string]context.Context{"a": one, "b": two} {
			wg.Go(func() {
				change := say(word)
				change.Patience = time.Millisecond // they share a write
				err := c.apply(ctx, "n", change)
				if !errors.Is(err, gone) || !errors.Is(err, errDown) {
					t.Errorf("%s: got %v, want that the caller went, and what the API server said last", word, err)
				}
			})
		}
		<-tried // the pauses have come to a second
		runs := func() bool {
			synctest.Wait()
			c.mu.Lock()
			defer c.mu.Unlock()
			q, ok := c.queues["n"]
			return ok && q.running
		}
		if goOne(gone); !runs() {
			t.Error("the writer has stopped, and one still waits")
		}
		_, before := s.counts()
		left := time.Now()
		if goTwo(gone); runs() {
			t.Error("the writer runs, and nobody waits")
		}
		wg.Wait()
		if d := time.Since(left); d > 0 {
			t.Errorf("it took %s until all had gone", d)
		}
		// What became of the last write is unknown: whoever comes next reads first.
		s.before = nil
		reads, _ := s.counts()
		if err := c.apply(t.Context(), "n", say("c")); err != nil {
			t.Error(err)
		}
		if now, writes := s.counts(); now != reads+1 || writes != before+1 {
			t.Errorf("%d reads and %d writes for the next change, want one of each", now-reads, writes-before)
		}
		s.says(t, "c")
	})
}

func TestWhatWasCountedIsForgottenWithEachChangeThatDoesNotCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s, _ := newTally()
		forgotten := -1
		look := func(tx *tallyTx) error { forgotten = tx.forgotten; return nil }
		var wg sync.WaitGroup
		for _, change := range []ChangeOf[*tallyTx]{{Do: say("a").Do}, {Do: say("b").Do, counts: true}, {Do: look, counts: true}} {
			change.Patience = time.Second
			wg.Go(func() {
				if err := c.apply(t.Context(), "n", change); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait() // in this order
		}
		wg.Wait()
		if s.says(t, "a", "b"); forgotten != 1 {
			t.Errorf("counts were forgotten %d times, want once", forgotten)
		}
	})
}

func TestOnlyTheLeaderWhoseTermATallyCarriesWritesIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, s, _ := newTally()
		ours, theirs := NewTerm(), NewTerm()
		apply := func(do func(*tallyTx) error) error { return c.apply(t.Context(), "n", ChangeOf[*tallyTx]{Do: do}) }
		if err := apply(Fence(ours, "uid", say("early").Do)); !errors.Is(err, ErrLeadershipLost) {
			t.Errorf("before the tally was taken over: %v", err)
		}
		if err := apply(TakeOver(ours, "uid", func(tx *tallyTx) { tx.words = append(tx.words, "taken") })); err != nil {
			t.Fatal(err)
		}
		if err := apply(Fence(ours, "uid", say("ours").Do)); err != nil {
			t.Errorf("after it: %v", err)
		}
		if err := apply(Fence(ours, "another", say("another").Do)); !errors.Is(err, ErrReplaced) {
			t.Errorf("of a tally of that name which is another: %v", err)
		}
		if err := apply(TakeOver(theirs, "another", func(*tallyTx) {})); !errors.Is(err, ErrReplaced) {
			t.Errorf("taking over another: %v", err)
		}
		if err := apply(TakeOver(theirs, "uid", func(*tallyTx) {})); err != nil {
			t.Fatal(err)
		}
		if err := apply(Fence(ours, "uid", say("late").Do)); !errors.Is(err, ErrLeadershipLost) {
			t.Errorf("after another leader took it over: %v", err)
		}
		s.says(t, "taken", "ours")
		if got := s.get("n").term; got != string(theirs) {
			t.Errorf("its term is %q, want %q", got, theirs)
		}
	})
}
