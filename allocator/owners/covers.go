package owners

import (
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// most is more than any count of ordinals; larger numbers in a spec count as this one.
const most = int64(1) << ordinalBits

// Covers reports whether an owner may create a pod of that name again. It may if any reading of its
// spec allows the ordinal: if the ordinal is less than spec.ordinals.start, replicas and
// reserveOrdinals (OpenKruise's) together. It also may if it numbers its pods in a way that is not
// known here.
//
// Only Kubernetes' own StatefulSet is known to create no pod below the start: OpenKruise's ignores
// ordinals.start unless its feature gate StatefulSetStartOrdinal is on, which cannot be seen.
func Covers(owner *unstructured.Unstructured, pod string) bool {
	kind := owner.GroupVersionKind().GroupKind()
	ordinal, ok := Ordinal(owner.GetName(), pod)
	if !ok {
		return !IsStatefulSet(kind) // which numbers all its pods
	}
	replicas, found, err := unstructured.NestedInt64(owner.Object, "spec", "replicas")
	switch {
	case err != nil, !found && !IsStatefulSet(kind):
		return true
	case !found:
		replicas = 1 // as both kinds define it
	}
	start, _, err := unstructured.NestedInt64(owner.Object, "spec", "ordinals", "start")
	if err != nil {
		return true
	}
	if kind == builtIn && ordinal < start {
		return false
	}
	return ordinal < count(start)+count(replicas)+leftOut(owner)
}

// count limits a number that a user wrote, so that sums do not overflow.
func count(n int64) int64 { return max(0, min(n, most)) }

// leftOut counts the ordinals in spec.reserveOrdinals: numbers and, since OpenKruise 1.8, ranges
// such as "3-5".
func leftOut(owner *unstructured.Unstructured) int64 {
	list, _, err := unstructured.NestedSlice(owner.Object, "spec", "reserveOrdinals")
	if err != nil {
		return 0
	}
	n := int64(0)
	for _, item := range list {
		n++
		text, ok := item.(string)
		if !ok {
			continue
		}
		from, to, isRange := strings.Cut(text, "-")
		first, err1 := strconv.ParseInt(from, 10, 64)
		last, err2 := strconv.ParseInt(to, 10, 64)
		if isRange && err1 == nil && err2 == nil && last >= first {
			n += count(last - first)
		}
	}
	return n
}
