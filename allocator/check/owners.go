package check

import (
	"fmt"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Owners are the existing owners that addresses are retained for.
type Owners map[Owner]Covered // owner -> what it covers

// Covered says which pods an owner may create again: those with ordinals of at least From and less
// than Below.
type Covered struct {
	From, Below int64
	All         bool // unknown, so every pod may come
}

// misses says why no pod of the identity may come any more; empty where one may.
func (o Owners) misses(i identity) string {
	covered, exists := o[i.Owner]
	if !exists {
		return fmt.Sprintf("%s %s does not exist", i.Kind, i.Name)
	}
	digits, named := strings.CutPrefix(i.pod, i.Name+"-")
	n, err := strconv.ParseInt(digits, 10, 64)
	if covered.All || !named || err != nil || covered.From <= n && n < covered.Below {
		return ""
	}
	if covered.Below <= covered.From {
		return fmt.Sprintf("%s %s has no ordinals", i.Kind, i.Name)
	}
	return fmt.Sprintf("%s %s has ordinals from %d to %d only", i.Kind, i.Name, covered.From, covered.Below-1)
}

// statefulSet is the kind of Kubernetes itself.
var statefulSet = schema.GroupKind{Group: "apps", Kind: "StatefulSet"}

// coveredBy reads which ordinals the pods of an owner may have. A StatefulSet of Kubernetes has as
// many from start on as it has replicas. For others every reading of the spec counts: OpenKruise
// starts at 0 whatever start says, unless a feature gate is on, and skips reserved ordinals. Any
// kind called StatefulSet has one replica by default.
func coveredBy(kind schema.GroupKind, o *unstructured.Unstructured) Covered {
	replicas, found, err := unstructured.NestedInt64(o.Object, "spec", "replicas")
	if err != nil || !found && kind.Kind != "StatefulSet" {
		return Covered{All: true}
	}
	if !found {
		replicas = 1
	}
	start, _, err := unstructured.NestedInt64(o.Object, "spec", "ordinals", "start")
	if err != nil {
		return Covered{All: true}
	}
	if kind == statefulSet {
		return Covered{From: start, Below: start + replicas}
	}
	below := max(replicas, start+replicas)
	reserved, _, _ := unstructured.NestedSlice(o.Object, "spec", "reserveOrdinals")
	for _, r := range reserved {
		below += ordinalsIn(r)
	}
	return Covered{Below: below}
}

// ordinalsIn returns how many ordinals an entry of reserveOrdinals means: a number is one, a string
// is a range.
func ordinalsIn(entry any) int64 {
	text, ok := entry.(string)
	if !ok {
		return 1
	}
	first, last, _ := strings.Cut(text, "-")
	from, err1 := strconv.ParseInt(first, 10, 64)
	to, err2 := strconv.ParseInt(last, 10, 64)
	if err1 != nil || err2 != nil || to < from {
		return 1
	}
	return to - from + 1
}
