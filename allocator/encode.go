package allocator

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Encoded is a record as it stands in a pool's status: text that a person can read in `kubectl get
// sp -o yaml`.
//
//	settled:  172.18.41.40-44,50                                    see Set.Lines
//	reserved: 172.18.41.45 <token> default                          at admission
//	          172.18.41.46 <token> default/web-x <uid>              late bound
//	          172.18.41.47 <token> default by:<digest> grace:3600s for:StatefulSet.apps/web/web-0 of:<owner uid>
//	          172.18.41.50 <token> default nic:net1
//	held:     172.18.41.48 <node or -> 2026-11-23T10:00:00Z
//	          172.18.41.49 <node or -> 2026-11-23T10:00:00Z 3600s pod:default/web-y until:2026-11-23T11:01:00Z
//	retained: default/StatefulSet.apps/web <owner uid or ->: <pod> <pod> ...
//
// In a reserved line each word stands only where there is something to say: whose pod it is
// (OwnerDigest), its termination grace where that is more than DefaultGrace, the stable identity in
// the pod's namespace that the address is for, with its owner's UID, and the NIC where it is not
// DefaultNIC.
//
// In a held line a grace of more than DefaultGrace stands behind the time, and then words: whose
// the address was, with a dash for a pod of which only the namespace is known, and when the hold is
// expected to end.
//
// A retained line is for one owner; of a pod's name that begins with the owner's and a dash only
// the rest is written, from the dash on. A kind of the core group has no dot. Each pod's use
// follows its address:
//
//	-0=172.18.41.40                                    unassigned
//	-1=172.18.41.41*                                   in use
//	-2=172.18.41.42+<token>                            pending admission
//	-3=172.18.41.43+<token>/<pod uid>~3600s            pending admission of a pod bound late, with its grace
//	-4=172.18.41.44@<node or ->@2026-11-23T10:00:00Z   held; behind it @ and when that is expected to end, and a grace ~3600s
//	-5/net1=172.18.41.45                               unassigned, for a NIC that is not DefaultNIC
type Encoded struct {
	Settled  []string
	Reserved []string
	Retained []string
	Held     []string

	PodsSeenThrough string // a decimal number; empty for zero
	LongestGrace    string // such as 3600s; empty for zero
	Term            string
}

// Equal reports whether both are the same text.
func (e Encoded) Equal(o Encoded) bool {
	return slices.Equal(e.Settled, o.Settled) && slices.Equal(e.Reserved, o.Reserved) && slices.Equal(e.Retained, o.Retained) &&
		slices.Equal(e.Held, o.Held) && e.PodsSeenThrough == o.PodsSeenThrough && e.LongestGrace == o.LongestGrace && e.Term == o.Term
}

// Size returns the bytes of all text, with the quotes and comma that JSON puts around each line.
func (e Encoded) Size() int {
	n := len(e.PodsSeenThrough) + len(e.LongestGrace) + len(e.Term)
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
	if r.longestGrace > 0 {
		e.LongestGrace = graceText(r.longestGrace)
	}
	return e
}

// encodeOwned writes the three sets that say more of an address than that it is taken.
func (r *Record) encodeOwned() Encoded {
	e := Encoded{Retained: r.retainedLines()}
	for a, v := range r.awaited.all() {
		if _, ok := r.retained.get(a); !ok {
			e.Reserved = append(e.Reserved, a.String()+" "+v.String())
		}
	}
	for a, v := range r.held.all() {
		if _, ok := r.retained.get(a); !ok {
			e.Held = append(e.Held, a.String()+" "+v.String())
		}
	}
	return e
}

// retainedLines leans on the order of identities: the pods of one owner are neighbours. Where their
// records name several UIDs of the owner, each UID has a line.
func (r *Record) retainedLines() []string {
	var lines []string
	open := map[string][]byte{} // the owner's UID -> the line begun for it
	var owner Identity
	flush := func() {
		for _, uid := range slices.Sorted(maps.Keys(open)) {
			lines = append(lines, string(open[uid]))
		}
		clear(open)
	}
	for i, a := range r.identities.all() {
		k, ok := r.retained.get(a)
		if !ok {
			continue // reserved for the identity: a line of its own says so
		}
		if i.Owner() != owner {
			flush()
			owner = i.Owner()
		}
		line := open[k.ownerUID]
		if line == nil {
			line = append(line, owner.String()+" "+cmp.Or(k.ownerUID, unknown)+":"...)
		}
		line = append(append(line, ' '), shortPod(i)...)
		if i.NIC != "" {
			line = append(append(line, beforeNIC), i.NIC...)
		}
		line = append(line, '=')
		open[k.ownerUID] = r.appendUse(a.AppendTo(line), a)
	}
	flush()
	return lines
}

// appendUse writes the use of a retained address. Neither names nor addresses nor times have one of
// these separators.
func (r *Record) appendUse(line []byte, a netip.Addr) []byte {
	if r.seen.Contains(a) {
		return append(line, usedBy)
	}
	if v, ok := r.awaited.get(a); ok {
		line = append(append(line, awaitedBy), v.Token...)
		if v.LateBound() {
			line = append(append(line, '/'), v.Pod.UID...)
		}
		if v.Grace > 0 {
			line = append(append(line, withGrace), graceText(v.Grace)...)
		}
		return line
	}
	if h, ok := r.held.get(a); ok {
		line = append(append(line, heldFor), cmp.Or(h.Node, unknown)...)
		line = h.Since.AppendFormat(append(line, heldFor), time.RFC3339)
		if !h.Until.IsZero() {
			line = h.Until.AppendFormat(append(line, heldFor), time.RFC3339)
		}
		if h.Grace > 0 {
			line = append(append(line, withGrace), graceText(h.Grace)...)
		}
	}
	return line
}

// What follows the address of a retained pod.
const (
	beforeNIC = '/' // behind the pod
	usedBy    = '*'
	awaitedBy = '+'
	heldFor   = '@'
	withGrace = '~'
)

// shortPod cuts the owner's name off the pod's. Names begin with a letter or digit, so a leading
// dash tells short from whole.
func shortPod(i Identity) string {
	if rest, ok := strings.CutPrefix(i.Pod, i.Name); ok && strings.HasPrefix(rest, "-") {
		return rest
	}
	return i.Pod
}
