package lifecycle

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"k8s.io/client-go/tools/cache"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/ledger"
	"spidernet.io/spiderpool/allocator/view"
)

// watched is what a process remembers of pods that came and went: the real view.Arrivals. Worlds
// share the past and go different ways from there, so it is made anew of all that it was told, in
// order, whenever it is asked.
type watched struct {
	told   []lesson
	heard  int             // happenings that it was told
	asked  *world          // as it was when the list of pools was answered that is on its way; nil: there is none
	during []lesson        // what it was told since that was asked for
	listed int             // happenings that the last list of pods had
	lists  *listsOfProcess // as they are now; never changed
}

// lesson is one thing that it was told.
type lesson func(*rebuilt)

// rebuilt is a view.Arrivals, and what it stands on.
type rebuilt struct {
	*view.Arrivals
	lists   *listsOfProcess
	awaited func() *world // what it reads of the pools; nil: it shall not
	asks    int           // how often it has read them
}

// listsOfProcess is how often a process has listed all pods, and whether that was answered.
type listsOfProcess struct {
	count    uint64
	answered bool
}

func (r *rebuilt) Lists() uint64 { return r.lists.count }

func (r *rebuilt) Listed() (uint64, bool) { return r.lists.count, r.lists.answered }

func (*rebuilt) AddEventHandler(cache.ResourceEventHandler) (cache.ResourceEventHandlerRegistration, error) {
	return nil, nil //nolint:nilnil // nobody asks for it
}

// read is the read of all pools, with the code that reads them in the controller.
func (r *rebuilt) read(ctx context.Context) (view.Awaited, error) {
	r.asks++
	if r.awaited == nil {
		return view.Awaited{}, errTrapped
	}
	return ReadAwaited(ctx, reader{&turn{reads: r.awaited()}})
}

func (m *watched) rebuild() *rebuilt {
	r := &rebuilt{lists: &listsOfProcess{}}
	var err error
	if r.Arrivals, err = view.NewArrivals(r, r.read); err != nil {
		panic(err)
	}
	for _, learn := range m.told {
		learn(r)
	}
	return r
}

// learns is called whenever something is to be told.
func (m *watched) learns(l lesson) {
	if m.asked != nil {
		m.during = append(slices.Clip(m.during), l)
		return
	}
	m.told = append(slices.Clip(m.told), l)
}

// lists says how often pods were listed from here on.
func (m *watched) listsPods(count uint64, answered bool) {
	m.lists = &listsOfProcess{count, answered}
	lists := m.lists
	m.learns(func(r *rebuilt) { r.lists = lists })
}

// asks reports whether it would read the pools now.
func (m *watched) asks() bool {
	r := m.rebuild()
	r.asks = 0
	_ = r.Look(context.Background()) // it is told that it cannot
	return r.asks > 0
}

// arrives has the list of pools arrive that was asked for.
func (m *watched) arrives() {
	asked, during := m.asked, m.during
	m.asked, m.during = nil, nil
	m.learns(func(r *rebuilt) {
		r.awaited = func() *world {
			for _, learn := range during {
				learn(r)
			}
			return asked
		}
		if err := r.Look(context.Background()); err != nil {
			panic(err)
		}
		r.awaited = nil
	})
}

// Of is what expiry is told. While it waits for the list of pools it knows nothing.
func (m *watched) Of(pool string, token allocator.Token, through uint64) view.Arrival {
	if m.asked != nil {
		return view.MayHaveVanished
	}
	return m.rebuild().Of(pool, token, through)
}

// ignorant is for scenarios in which nobody remembers.
type ignorant struct{}

func (ignorant) Of(string, allocator.Token, uint64) view.Arrival { return view.MayHaveVanished }

func (l *leader) arrivals(s *scenario) arrivals {
	if !s.remembers {
		return ignorant{}
	}
	return &l.watched
}

// hears tells it what the store has.
func (m *watched) hears(w *world, upTo int) {
	for ; m.heard < upTo; m.heard++ {
		i := m.heard
		m.learns(func(r *rebuilt) { w.tell(r, i) })
	}
}

// hearsAll tells it of a list of all pods, beside what its store had before.
func (m *watched) hearsAll(before, after map[string]*view.Pod, revision int) {
	m.heard, m.listed = revision, revision
	m.learns(func(r *rebuilt) { tellList(r, before, after) })
}

// standby returns a process that has asked for a list of all pods, and has no answer yet.
func standby(name string, lives int) *leader {
	l := start(name, lives, 0)
	l.standby, l.blank = true, true
	l.watched = watched{}
	l.watched.listsPods(1, false)
	return l
}

// listsFirst ends the first list of pods of a standby.
func (l *leader) listsFirst(w *world, seen int) {
	l.blank, l.view, l.told = false, seen, seen
	l.watched.listsPods(1, true)
	l.watched.hearsAll(nil, w.viewAt(seen), seen)
}

// elected has a standby lead: from here on its handlers are told of the pods that there are, and of
// what happens to them.
func (l *leader) elected(w *world) {
	fresh := start("", 0, l.view)
	fresh.leaderships.term = ledger.Term(l.term)
	l.leaderships, l.standby = fresh.leaderships, false
	h := ends{leaderships: l.leaderships, claims: at{revisionAt(l.view)}, queue: deaf{}}
	tellList(h, nil, w.viewAt(l.view))
}

// remembering is what may happen to what a process remembers.
func (w *world) remembering(i int, l *leader, may may, costs costs) {
	who := leaderNames[i] + ": "
	if w.s.longLists && l.told == l.view && l.watched.heard == l.view && !l.blank && l.watched.lists.answered {
		costs("relist", who+"begins to list", func(c *world) {
			m := c.leaders[i]
			m.lists++
			m.watched.listsPods(m.lists, false)
		})
	}
	if l.watched.heard < l.view {
		may(who+"arrivals are told", func(c *world) { c.leaders[i].watched.hears(c, l.view) })
	}
	switch {
	case l.watched.asked != nil:
		may(who+"has the list of pools", func(c *world) { c.leaders[i].watched.arrives() })
	case l.watched.asks():
		may(who+"pools are listed", func(c *world) { c.leaders[i].watched.asked = c })
	}
	if l.standby && !l.blank && l.watched.lists.answered {
		may(who+"is elected", func(c *world) { c.leaders[i].elected(c) })
	}
}

// remembered writes what it knows of each reservation, and would know if the list of pools came
// now.
func (p printer) remembered(l *leader) {
	m := l.watched
	fmt.Fprintf(p, "standby %t blank %t answered %t heard %d unchanged %t asked %t", l.standby, l.blank, m.lists.answered, m.heard, m.listed == l.view, m.asked != nil)
	if m.asked != nil {
		m.arrives()
	}
	r := m.rebuild()
	fmt.Fprintf(p, " of new ones %d", r.Of("", "zzzzzzzzzzzzzzzz", 0))
	for _, name := range slices.Sorted(maps.Keys(p.w.pools)) {
		for _, v := range p.w.record(name).Record.Awaited() {
			fmt.Fprintf(p, " %d", r.Of(name, v.Token, 0))
		}
	}
	fmt.Fprintln(p)
}
