package lifecycle

import (
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// covers reports whether an owner may make a pod of that name again: its ordinal
// is from the first one below the number of replicas and of ordinals that are
// left out (OpenKruise's reserveOrdinals). A pod that is kept a little too long
// is a bounded leak, one that is not kept has lost its identity. So it is yes
// where the owner counts in no way that is known here.
func covers(owner *unstructured.Unstructured, pod string) bool {
	ordinal, ok := ordinalOf(owner.GetName(), pod)
	if !ok {
		return owner.GetKind() != "StatefulSet" // which numbers all its pods
	}
	replicas, found, err := unstructured.NestedInt64(owner.Object, "spec", "replicas")
	if err != nil {
		return true
	}
	if !found {
		if owner.GetKind() != "StatefulSet" {
			return true
		}
		replicas = 1 // as both kinds of the name define it
	}
	start, _, err := unstructured.NestedInt64(owner.Object, "spec", "ordinals", "start")
	if err != nil {
		return true
	}
	return ordinal >= start && ordinal < start+replicas+leftOut(owner)
}

// ordinalOf returns the number behind the owner's name and a dash.
func ordinalOf(owner, pod string) (int64, bool) {
	tail, ok := strings.CutPrefix(pod, owner+"-")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(tail, 10, 64)
	return n, err == nil && n >= 0
}

// leftOut counts spec.reserveOrdinals: numbers, and since OpenKruise 1.8 ranges
// such as "3-5" too.
func leftOut(owner *unstructured.Unstructured) int64 {
	list, _, err := unstructured.NestedSlice(owner.Object, "spec", "reserveOrdinals")
	if err != nil {
		return 0
	}
	n := int64(0)
	for _, item := range list {
		text, ok := item.(string)
		if !ok {
			n++
			continue
		}
		from, to, isRange := strings.Cut(text, "-")
		first, err1 := strconv.ParseInt(from, 10, 64)
		last, err2 := strconv.ParseInt(to, 10, 64)
		if isRange && err1 == nil && err2 == nil && last >= first {
			n += last - first
		}
		n++
	}
	return n
}
