package lifecycle

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

type addr = netip.Addr

// found is a world that was reached, and how.
type found struct {
	from   key
	action string
}

// explore visits all worlds that can be reached from the beginning, the nearest first, and checks
// each. It returns how many there are, and the shortest way to one that is wrong.
func (s *scenario) explore(limit int) (states int, way []string, wrong []string) {
	first := s.world()
	seen := map[key]found{first.key(): {}}
	queue := []*world{first}
	keys := []key{first.key()}
	for len(queue) > 0 {
		w, at := queue[0], keys[0]
		queue, keys = queue[1:], keys[1:]
		for _, a := range w.actions() {
			next := a.do()
			k := next.key()
			if _, ok := seen[k]; ok {
				continue
			}
			seen[k] = found{at, a.name}
			if wrong := next.check(); len(wrong) > 0 {
				return len(seen), wayTo(seen, k), wrong
			}
			if limit > 0 && len(seen) >= limit {
				return len(seen), nil, []string{fmt.Sprintf("more than %d states", limit)}
			}
			queue, keys = append(queue, next), append(keys, k)
		}
	}
	return len(seen), nil, nil
}

func wayTo(seen map[key]found, k key) []string {
	var way []string
	for {
		f := seen[k]
		if f.action == "" {
			slices.Reverse(way)
			return way
		}
		way = append(way, f.action)
		k = f.from
	}
}

// scenarios are small worlds, each about one matter, that are visited wholly.
var scenarios = map[string]*scenario{
	"reservations expire, are settled and released": {
		pods: []string{"a"}, jobs: []string{"tend", "expire"}, budget: map[string]int{"admit": 2, "tick": 1},
	},
	"leaders come and go with old views": {
		pods: []string{"a"}, jobs: []string{"tend"}, budget: map[string]int{"admit": 1, "start": 2},
	},
	"two pods, one after the other, and a leader with an old view": {
		pods: []string{"a"}, jobs: []string{"tend"}, budget: map[string]int{"admit": 2, "start": 1},
	},
	"a leader with an old view holds, and ends holds": {
		pods: []string{"a"}, jobs: []string{"tend", "holds"}, budget: map[string]int{"admit": 1, "start": 1, "tick": 1},
	},
	"an answer is lost": {
		pods: []string{"a"}, jobs: []string{"tend", "expire"}, budget: map[string]int{"admit": 2, "lost": 1, "tick": 1},
	},
	"decisions are old when they are written": {
		pods: []string{"a"}, jobs: []string{"tend"}, stale: true, splits: true, budget: map[string]int{"admit": 2},
	},
	"handlers are told late": {
		pods: []string{"a"}, jobs: []string{"tend"}, lags: true, budget: map[string]int{"admit": 1, "start": 1},
	},
	"a pod is deleted by force, and its node is away": {
		pods: []string{"a"}, jobs: []string{"tend", "holds"}, budget: map[string]int{"admit": 2, "force": 1, "node": 2, "tick": 1},
	},
	"a watch breaks and lists anew": {
		pods: []string{"a"}, jobs: []string{"tend", "expire"}, removes: true, budget: map[string]int{"admit": 1, "relist": 1, "tick": 1},
	},
	"a stable identity and a stranger": {
		pods: []string{"web-0", "z"}, jobs: []string{"tend", "retained"}, removes: true, budget: map[string]int{"admit": 2, "scale": 1, "tick": 1},
	},
	"a pod of a stable identity is deleted by force": {
		pods: []string{"web-0"}, jobs: []string{"tend", "holds", "retained"}, budget: map[string]int{"admit": 2, "force": 1, "scale": 1, "tick": 1},
	},
	"an owner is deleted, its pods are not, and made again": {
		pods: []string{"web-0"}, jobs: []string{"tend", "retained"}, budget: map[string]int{"admit": 2, "orphan": 1, "scale": 1, "tick": 1},
	},
	"a pod is bound late": {
		pods: []string{"a"}, jobs: []string{"tend", "bind"}, unassigned: true, budget: map[string]int{"admit": 2, "outage": 1},
	},
	"two pools, and an answer is lost": {
		pools: map[string]string{"p": "10.0.0.1", "q": "fd00::1"}, slots: [][]string{{"p"}, {"q"}},
		pods: []string{"a"}, jobs: []string{"tend"}, budget: map[string]int{"admit": 2, "lost": 1},
	},
	"a pod comes and vanishes while handlers are told late": {
		pods: []string{"a"}, jobs: []string{"tend", "expire"}, lags: true, budget: map[string]int{"admit": 2, "force": 1, "tick": 1},
	},
	"a pool is deleted by force and made again": {
		pods: []string{"a"}, jobs: []string{"tend", "judge"}, budget: map[string]int{"admit": 2, "pool": 1},
	},
	"an address moves from one pool to another and back by edits": {
		pools: map[string]string{"p": "10.0.0.1-10.0.0.2", "q": "10.0.0.3"}, edits: map[string]string{"p": "10.0.0.2", "q": "10.0.0.1"}, slots: [][]string{{"p", "q"}},
		pods: []string{"a"}, jobs: []string{"tend", "judge"}, budget: map[string]int{"admit": 1, "edit": 3},
	},
	"one pool serves two NICs of a stable identity": {
		pools: map[string]string{"p": "10.0.0.1-10.0.0.2"}, slots: [][]string{{"p"}, {"p"}}, nics: true,
		pods: []string{"web-0"}, jobs: []string{"tend", "retained"}, removes: true, budget: map[string]int{"admit": 2, "scale": 1, "tick": 1},
	},
	"a pool that served two NICs is deleted by force and made again": {
		pools: map[string]string{"p": "10.0.0.1-10.0.0.2"}, slots: [][]string{{"p"}, {"p"}}, nics: true,
		pods: []string{"web-0"}, jobs: []string{"tend", "judge"}, budget: map[string]int{"admit": 2, "pool": 1},
	},
	"a standby that has watched takes over": {
		pods: []string{"a"}, jobs: []string{"tend", "expire"}, remembers: true, standby: true, dead: true, away: true, budget: map[string]int{"admit": 2, "force": 1, "tick": 1},
	},
	"a pool has no room for holds": {
		pods: []string{"a"}, jobs: []string{"tend", "expire"}, noHolds: true, lags: true, budget: map[string]int{"admit": 2, "force": 1, "tick": 1},
	},
	"pods name a node that never was, and then is": {
		pods: []string{"a"}, jobs: []string{"tend", "holds", "lost"}, nowhere: true, budget: map[string]int{"admit": 2, "collect": 1, "register": 1, "force": 1},
	},
	"a node is switched off for good, and another machine takes its name": {
		pods: []string{"a"}, jobs: []string{"tend", "lost"}, budget: map[string]int{"admit": 2, "off": 1, "collect": 1, "register": 1},
	},
	"somebody else writes a phase, and the view of the nodes is late": {
		pods: []string{"a"}, jobs: []string{"tend", "lost"}, budget: map[string]int{"admit": 1, "off": 1, "register": 1, "foreign": 1},
	},
	"somebody else writes a phase": {
		pods: []string{"a"}, jobs: []string{"tend"}, budget: map[string]int{"admit": 2, "foreign": 1},
	},
}

// The life of addresses, driven by the real engine, ledger and jobs: no way that leads anywhere
// leads to a double, or to an address that nobody records. A failure prints the shortest way to it.
func TestModel(t *testing.T) {
	t.Parallel()
	visit(t, scenarios, 20000)
}

// visit visits all worlds of each scenario, and reports how many there were.
func visit(t *testing.T, scenarios map[string]*scenario, limit int) {
	t.Helper()
	var total atomic.Int64
	t.Cleanup(func() { t.Logf("%d states in %d worlds", total.Load(), len(scenarios)) })
	for name, s := range scenarios {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			states, way, wrong := s.explore(limit)
			total.Add(int64(states))
			t.Logf("%d states", states)
			if len(wrong) > 0 {
				t.Errorf("%s\nthe way there:\n  %s", strings.Join(wrong, "\n"), strings.Join(way, "\n  "))
			}
		})
	}
}
