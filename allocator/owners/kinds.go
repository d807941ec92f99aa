package owners

import (
	"fmt"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The kinds that number their pods: Kubernetes' own and OpenKruise's.
var (
	builtIn = schema.GroupKind{Group: "apps", Kind: "StatefulSet"}
	kruise  = schema.GroupKind{Group: "apps.kruise.io", Kind: "StatefulSet"}
)

// IsStatefulSet reports whether a kind is one of the two StatefulSets. All pods of such an owner
// are named after it, with an ordinal.
func IsStatefulSet(kind schema.GroupKind) bool { return kind == builtIn || kind == kruise }

// KindOf returns the kind that a reference names, in any version. Whoever creates a pod can write
// any reference, so the kind need not exist; a malformed version is an error.
func KindOf(ref *metav1.OwnerReference) (schema.GroupKind, error) {
	gv, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		return schema.GroupKind{}, fmt.Errorf("reading the version of owner %s %q: %w", ref.Kind, ref.Name, err)
	}
	return schema.GroupKind{Group: gv.Group, Kind: ref.Kind}, nil
}

// ordinalBits is the size of ordinals: they are non-negative int32.
const ordinalBits = 31

// Ordinal returns the ordinal in the name of a pod: the name of its owner, a dash, and the number
// as controllers write it.
func Ordinal(owner, pod string) (n int64, ok bool) {
	digits, ok := strings.CutPrefix(pod, owner+"-")
	if !ok {
		return 0, false
	}
	u, err := strconv.ParseUint(digits, 10, ordinalBits)
	if err != nil || strconv.FormatUint(u, 10) != digits {
		return 0, false
	}
	return int64(u), true // of 31 bits
}
