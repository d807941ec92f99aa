//go:build !race

package lifecycle

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"spidernet.io/spiderpool/allocator"
	"spidernet.io/spiderpool/allocator/owners"
)

// What is here runs in one goroutine for each world, and would take an hour under the race
// detector.

// largeScenarios are worlds of hundreds of thousands of states.
var largeScenarios = map[string]*scenario{
	"stable identities, strangers, and an owner that is scaled": {
		pods: []string{"web-0", "z"}, jobs: []string{"tend", "retained"}, removes: true, budget: map[string]int{"admit": 3, "scale": 1, "tick": 1},
	},
	"a pool is deleted by force, and another with its address is made": {
		pools: map[string]string{"p": "10.0.0.1", "q": ""}, later: map[string]string{"q": "10.0.0.1"}, slots: [][]string{{"q", "p"}},
		pods: []string{"a"}, jobs: []string{"tend", "judge"}, budget: map[string]int{"admit": 2, "pool": 1},
	},
	"a pool gains the address of one that is deleted by force": {
		pools: map[string]string{"p": "10.0.0.1", "q": "10.0.0.2"}, later: map[string]string{}, edits: map[string]string{"q": "10.0.0.1-10.0.0.2"}, slots: [][]string{{"p", "q"}},
		pods: []string{"a"}, jobs: []string{"tend", "judge"}, budget: map[string]int{"admit": 2, "edit": 1, "pool": 1},
	},
	"a standby lists anew before it takes over": {
		pods: []string{"a"}, jobs: []string{"tend", "expire"}, remembers: true, standby: true, dead: true, away: true, longLists: true,
		budget: map[string]int{"admit": 2, "force": 1, "relist": 1, "tick": 1},
	},
	"a standby that is told late takes over": {
		pods: []string{"a"}, jobs: []string{"tend", "expire"}, remembers: true, standby: true, dead: true, away: true, lags: true, budget: map[string]int{"admit": 2, "force": 1, "tick": 1},
	},
	"two leaders expire": {
		pods: []string{"a"}, jobs: []string{"tend", "expire"}, budget: map[string]int{"admit": 2, "start": 1, "tick": 1},
	},
}

func TestModelLarge(t *testing.T) {
	t.Parallel()
	visit(t, largeScenarios, 400000)
}

// everything is a world with all that there is, which is walked at random.
func everything() *scenario {
	return &scenario{
		pools: map[string]string{"p": "10.0.0.1-10.0.0.2", "q": "fd00::1-fd00::2"}, slots: [][]string{{"p"}, {"q"}},
		pods: []string{"a", "web-0", "z"}, jobs: []string{"tend", "expire", "holds", "retained", "judge", "bind"},
		lags: true, stale: true, unassigned: true, removes: true,
		budget: map[string]int{
			"admit": 6, "lost": 2, "start": 3, "relist": 2, "force": 2, "foreign": 1, "node": 4, "scale": 2, "orphan": 1, "tick": 3, "outage": 1,
		},
	}
}

// Ways through a large world keep the invariants at each step, and wherever they end, what nobody
// needs comes free once all is well again (I3). rapid makes a way that fails shorter, and prints
// it.
func TestModelAtRandom(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*scenario){
		"all that there is":                func(*scenario) {},
		"no endpoint tells where pods ran": func(s *scenario) { s.unknown = true },
		"replicas act by old views":        func(s *scenario) { s.splits = true },
		"pods wait for a node":             func(s *scenario) { s.floats = true },
		"a standby watches":                func(s *scenario) { s.remembers, s.standby, s.longLists = true, true, true },
		"one pool, deleted by force": func(s *scenario) {
			s.pools, s.slots = map[string]string{"p": "10.0.0.1"}, [][]string{{"p"}}
			s.budget["pool"] = 1
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				s := everything()
				change(s)
				w := s.world()
				for range rapid.IntRange(1, 120).Draw(t, "steps") {
					all := w.actions()
					if len(all) == 0 {
						break
					}
					names := make([]string, len(all))
					for i, a := range all {
						names[i] = a.name
					}
					w = all[slices.Index(names, rapid.SampledFrom(names).Draw(t, "next"))].do()
					if wrong := w.check(); len(wrong) > 0 {
						t.Fatal(strings.Join(wrong, "\n"))
					}
				}
				w, way := w.calmsDown()
				if wrong := append(w.check(), w.leaks()...); len(wrong) > 0 {
					t.Fatalf("%s\nonce all is well again:\n  %s", strings.Join(wrong, "\n"), strings.Join(way, "\n  "))
				}
			})
		})
	}
}

// calm is what happens by itself where nothing goes wrong, the most urgent first.
var calm = []func(name string) bool{
	starts("reserve for "), starts("refuse "), starts("kubelet ends "), with(" is Ready: true"), starts("the owner is made again"), starts("pool p is made"),
	contains(" lists pods of revision "), with(": has the list"), with(": watch nodes"), with(": watch"), with(": handlers are told"), with(": arrivals are told"),
	with(": pools are listed"), with(": has the list of pools"), with(": is elected"), with(" writes"),
}

func starts(prefix string) func(string) bool {
	return func(name string) bool { return strings.HasPrefix(name, prefix) }
}

func contains(part string) func(string) bool {
	return func(name string) bool { return strings.Contains(name, part) }
}

func with(suffix string) func(string) bool {
	return func(name string) bool { return strings.HasSuffix(name, suffix) }
}

// calmsDown lets the world come to rest: what is on its way arrives, nodes come back, a leader
// leads, and time passes. It returns what it did.
func (w *world) calmsDown() (*world, []string) {
	var way []string
	do := func(a action) {
		w = a.do()
		way = append(way, a.name)
	}
	w = w.clone()
	w.budget = map[string]int{"node": len(w.nodes), "scale": 1, "tick": 9, "start": 1}
	w.budget["admit"] = 0
	for range 2 * w.budget["tick"] {
		for a, ok := w.calmly(); ok; a, ok = w.calmly() {
			do(a)
		}
		if w.leaders[0].term == "" && w.leaders[1].term == "" {
			w.budget["start"] = 1
			do(w.named(fmt.Sprintf("one: starts with a list of revision %d", w.revision())))
		}
		w.budget["start"] = 0
		for _, name := range w.jobsToDo() {
			for _, a := range w.actions() {
				if a.name == name {
					do(a)
					break
				}
			}
			for a, ok := w.calmly(); ok; a, ok = w.calmly() {
				do(a)
			}
		}
		if a, ok := w.find(starts("time passes")); ok {
			do(a)
		}
	}
	return w, way
}

func (w *world) calmly() (action, bool) {
	for _, is := range calm {
		if a, ok := w.find(is); ok {
			return a, true
		}
	}
	return action{}, false
}

// jobsToDo are the jobs of all leaders by name.
func (w *world) jobsToDo() (names []string) {
	for i, l := range w.leaders {
		if l.term != "" && l.pending == nil {
			for _, a := range w.jobs(i, l) {
				names = append(names, a.name)
			}
		}
	}
	return names
}

// leaks returns what is recorded and nobody needs (I3).
func (w *world) leaks() (wrong []string) {
	for name := range w.pools {
		record := w.record(name).Record
		for a := range record.Taken().All() {
			if why := w.needs(record, name, a); why != "" {
				wrong = append(wrong, fmt.Sprintf("I3: %s of pool %s %s", a, name, why))
			}
		}
	}
	return wrong
}

// needs says why an address need not be recorded; empty where it must.
func (w *world) needs(record *allocator.Record, pool string, a addr) string {
	for _, pod := range w.pods {
		if p := compact(pod); p.Live() && carries(p, pool, a) {
			return ""
		}
	}
	if v, ok := record.RetainedAt(a); ok && v.Unassigned() {
		if w.owner != nil && owners.Covers(w.owner, v.Identity.Pod) {
			return ""
		}
		return "is kept for " + v.Identity.Pod + ", which will not come back"
	}
	return "is " + record.State(a).String() + " and has no pod"
}
