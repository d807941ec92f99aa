package kruise

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// span is the ordinals from first to last, both included.
type span struct{ first, last int }

// ordinals returns the ordinals of the pods that s should have, ascending: as many as it has
// replicas, without the reserved ones, from zero or, with the feature gate, from start.
func (s *StatefulSet) ordinals(g Gates) []int {
	n := 0
	if g.StartOrdinal && s.Spec.Ordinals != nil {
		n = int(s.Spec.Ordinals.Start)
	}
	reserved := spans(s.Spec.ReserveOrdinals)
	var wanted []int
	for ; len(wanted) < s.replicas(); n++ {
		if next, ok := past(reserved, n); ok {
			n = next - 1 // the loop goes on with the next one
			continue
		}
		wanted = append(wanted, n)
	}
	return wanted
}

// past returns the first number after the span that n lies in, if any.
func past(reserved []span, n int) (int, bool) {
	for _, r := range reserved {
		if r.first <= n && n <= r.last {
			return r.last + 1, true
		}
	}
	return 0, false
}

// spans reads reserveOrdinals. As in OpenKruise a string is a range with both ends, and one that
// cannot be parsed invalidates all of them.
func spans(reserved []intstr.IntOrString) []span {
	var all []span
	for _, r := range reserved {
		if r.Type == intstr.Int {
			all = append(all, span{r.IntValue(), r.IntValue()})
			continue
		}
		first, last, ok := strings.Cut(r.StrVal, "-")
		from, errFrom := strconv.Atoi(first)
		to, errTo := strconv.Atoi(last)
		if !ok || errFrom != nil || errTo != nil || from > to {
			return nil
		}
		all = append(all, span{from, to})
	}
	return all
}

// ordinalOf returns the ordinal of the pod of set with this name.
func ordinalOf(set *StatefulSet, name string) (int, bool) {
	digits, ok := strings.CutPrefix(name, set.Name+"-")
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil && n >= 0 && strconv.Itoa(n) == digits
}

// step is what one round does: pods to create, by ordinal, and to delete.
type step struct {
	create []int
	remove []*corev1.Pod
}

// next decides on a round. An ordered set does one thing and waits for the result: it stops at the
// lowest pod that is missing or not ready, and surplus pods are deleted from the highest down, once
// all others are ready. A parallel one does everything at once. A pod that is being deleted is
// replaced when it is gone.
func next(set *StatefulSet, g Gates, pods []*corev1.Pod) step {
	byOrdinal := map[int]*corev1.Pod{} // ordinal -> pod
	for _, pod := range pods {
		if n, ok := ordinalOf(set, pod.Name); ok {
			byOrdinal[n] = pod
		}
	}
	var s step
	for _, n := range set.ordinals(g) {
		stop := s.keep(n, byOrdinal[n])
		delete(byOrdinal, n)
		if stop && set.ordered() {
			return s
		}
	}
	for _, n := range slices.Backward(slices.Sorted(maps.Keys(byOrdinal))) { // surplus pods
		if pod := byOrdinal[n]; pod.DeletionTimestamp == nil {
			s.remove = append(s.remove, pod)
		}
		if set.ordered() {
			return s
		}
	}
	return s
}

// keep adds what the pod with ordinal n needs, and reports whether others have to wait for it.
func (s *step) keep(n int, pod *corev1.Pod) (wait bool) {
	switch {
	case pod == nil:
		s.create = append(s.create, n)
		return true
	case pod.DeletionTimestamp != nil:
		return true
	case finished(pod):
		s.remove = append(s.remove, pod)
		return true
	default:
		return pod.Status.Phase != corev1.PodRunning || !conditionTrue(pod, corev1.PodReady)
	}
}
