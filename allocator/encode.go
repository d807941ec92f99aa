package allocator

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Encoded is a record as it stands in a pool's status: text that a person can read in `kubectl get sp -o yaml`.
//
//	settled:  172.18.41.40-44,50                                    see Set.Lines
//	reserved: 172.18.41.45 <token> default                          at admission
//	          172.18.41.45 <token> default/web-x <uid>              late bound
//	retained: default/StatefulSet.apps/web <owner uid or ->: -0=172.18.41.40 -1=172.18.41.41+<token>+<token>
//	held:     172.18.41.46 <node or -> 2026-11-23T10:00:00Z
//
// A retained line is for one owner; of a pod's name that begins with the owner's and a dash only the rest is written, from the dash
// on. A kind of the core group has no dot.
type Encoded struct {
	Settled  []string
	Reserved []string
	Retained []string
	Held     []string

	PodsSeenThrough string // a decimal number; empty for zero
	Term            string
}

// Equal reports whether both are the same text.
func (e Encoded) Equal(o Encoded) bool {
	return slices.Equal(e.Settled, o.Settled) && slices.Equal(e.Reserved, o.Reserved) && slices.Equal(e.Retained, o.Retained) &&
		slices.Equal(e.Held, o.Held) && e.PodsSeenThrough == o.PodsSeenThrough && e.Term == o.Term
}

// Size returns the bytes of all text, with the quotes and comma that JSON puts around each line.
func (e Encoded) Size() int {
	n := len(e.PodsSeenThrough) + len(e.Term)
	for _, lines := range [][]string{e.Settled, e.Reserved, e.Retained, e.Held} {
		for _, l := range lines {
			n += len(l) + len(`"",`)
		}
	}
	return n
}

// Encode writes the record down.
func (r *Record) Encode() Encoded {
	e := r.encodeOwned()
	e.Settled, e.Term = r.settled.Lines(), r.term
	if r.seenThrough > 0 {
		e.PodsSeenThrough = strconv.FormatUint(r.seenThrough, 10)
	}
	return e
}

// encodeOwned writes the three sets that say more of an address than that it is taken.
func (r *Record) encodeOwned() Encoded {
	e := Encoded{Retained: r.retainedLines()}
	for a, v := range r.reserved.all() {
		e.Reserved = append(e.Reserved, a.String()+" "+v.String())
	}
	for a, v := range r.held.all() {
		e.Held = append(e.Held, a.String()+" "+v.String())
	}
	return e
}

// retainedLines leans on the order of identities: the pods of one owner are neighbours. Where their records name several UIDs of
// the owner, each UID has a line.
func (r *Record) retainedLines() []string {
	var lines []string
	open := map[string]*strings.Builder{} // the owner's UID -> the line begun for it
	var owner Identity
	flush := func() {
		for _, uid := range slices.Sorted(maps.Keys(open)) {
			lines = append(lines, open[uid].String())
		}
		clear(open)
	}
	for i, a := range r.identities.all() {
		if i.Owner() != owner {
			flush()
			owner = i.Owner()
		}
		v, _ := r.retained.get(a)
		b := open[v.OwnerUID]
		if b == nil {
			b = &strings.Builder{}
			fmt.Fprintf(b, "%s %s:", owner, cmp.Or(v.OwnerUID, unknown))
			open[v.OwnerUID] = b
		}
		b.WriteString(" " + shortPod(i) + "=" + a.String())
		for _, t := range v.Tokens {
			b.WriteString("+" + string(t))
		}
	}
	flush()
	return lines
}

// shortPod cuts the owner's name off the pod's. Names begin with a letter or digit, so a leading dash tells short from whole.
func shortPod(i Identity) string {
	if rest, ok := strings.CutPrefix(i.Pod, i.Name); ok && strings.HasPrefix(rest, "-") {
		return rest
	}
	return i.Pod
}
