package owners

import (
	"strconv"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestOrdinal(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pod  string
		want int64 // -1: none
	}{
		"the first":                 {"web-0", 0},
		"a later one":               {"web-12", 12},
		"the largest":               {"web-2147483647", 2147483647},
		"larger than any":           {"web-2147483648", -1},
		"a leading zero":            {"web-01", -1},
		"a sign":                    {"web-+1", -1},
		"negative":                  {"web--1", -1},
		"not a number":              {"web-a", -1},
		"nothing after the dash":    {"web-", -1},
		"the owner's name alone":    {"web", -1},
		"of an owner with a suffix": {"web-1-0", -1},
		"of another owner":          {"other-0", -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, ok := Ordinal("web", c.pod)
			if ok != (c.want >= 0) || ok && n != c.want {
				t.Errorf("%s has ordinal %d (%t), want %d", c.pod, n, ok, c.want)
			}
		})
	}
}

func FuzzOrdinal(f *testing.F) {
	for _, pod := range []string{"web-0", "web-12", "web-01", "web-", "-1", "web-2147483648"} {
		f.Add("web", pod)
	}
	f.Fuzz(func(t *testing.T, owner, pod string) {
		n, ok := Ordinal(owner, pod)
		if ok && (n < 0 || owner+"-"+strconv.FormatInt(n, 10) != pod) {
			t.Errorf("%q of %q has ordinal %d", pod, owner, n)
		}
		if tail, is := strings.CutPrefix(pod, owner+"-"); !ok && is {
			if n, err := strconv.ParseInt(tail, 10, 32); err == nil && strconv.FormatInt(n, 10) == tail && n >= 0 {
				t.Errorf("%q of %q has no ordinal, want %d", pod, owner, n)
			}
		}
	})
}

func TestKinds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ref  metav1.OwnerReference
		want schema.GroupKind
		is   bool // a StatefulSet
		err  string
	}{
		"Kubernetes' own":          {metav1.OwnerReference{APIVersion: "apps/v1", Kind: "StatefulSet"}, builtIn, true, ""},
		"of a later version":       {metav1.OwnerReference{APIVersion: "apps/v3", Kind: "StatefulSet"}, builtIn, true, ""},
		"OpenKruise's":             {metav1.OwnerReference{APIVersion: "apps.kruise.io/v1alpha1", Kind: "StatefulSet"}, kruise, true, ""},
		"a kind of the core group": {metav1.OwnerReference{APIVersion: "v1", Kind: "StatefulSet"}, schema.GroupKind{Kind: "StatefulSet"}, false, ""},
		"another kind":             {metav1.OwnerReference{APIVersion: "apps/v1", Kind: "ReplicaSet"}, schema.GroupKind{Group: "apps", Kind: "ReplicaSet"}, false, ""},
		"a malformed version":      {metav1.OwnerReference{APIVersion: "apps/v1/v2", Kind: "StatefulSet", Name: "web"}, schema.GroupKind{}, false, `reading the version of owner StatefulSet "web": `},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := KindOf(&c.ref)
			if got != c.want || IsStatefulSet(got) != c.is {
				t.Errorf("kind is %s, a StatefulSet: %t; want %s, %t", got, IsStatefulSet(got), c.want, c.is)
			}
			if (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error is %v, want %q", err, c.err)
			}
		})
	}
}
