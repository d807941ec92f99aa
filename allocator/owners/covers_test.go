package owners

import (
	"math"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	own      = "apps/v1 StatefulSet"
	kruises  = "apps.kruise.io/v1beta1 StatefulSet"
	database = "databases.example.com/v1 Database"
	others   = "apps.example.com/v1 StatefulSet"
)

// ownerOf returns the owner web.
func ownerOf(kind string, spec map[string]any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "web"}, "spec": spec}}
	for _, k := range []struct{ name, version, kind string }{
		{own, "apps/v1", "StatefulSet"}, {kruises, "apps.kruise.io/v1beta1", "StatefulSet"},
		{database, "databases.example.com/v1", "Database"}, {others, "apps.example.com/v1", "StatefulSet"},
	} {
		if k.name == kind {
			o.SetAPIVersion(k.version)
			o.SetKind(k.kind)
		}
	}
	return o
}

// spec returns a spec of so many replicas, numbered from start unless that is 0.
func spec(replicas, start int64, reserved ...any) map[string]any {
	s := map[string]any{"replicas": replicas}
	if start != 0 {
		s["ordinals"] = map[string]any{"start": start}
	}
	if reserved != nil {
		s["reserveOrdinals"] = reserved
	}
	return s
}

func TestCovers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind string
		spec map[string]any
		pod  string
		want bool
	}{
		"below the number of replicas":              {own, spec(3, 0), "web-2", true},
		"at the number of replicas":                 {own, spec(3, 0), "web-3", false},
		"scaled to zero":                            {own, spec(0, 0), "web-0", false},
		"replicas not given mean one":               {own, map[string]any{}, "web-0", true},
		"replicas not given, a second":              {own, map[string]any{}, "web-1", false},
		"replicas not given, of OpenKruise":         {kruises, map[string]any{}, "web-1", false},
		"counted from a start":                      {own, spec(3, 5), "web-7", true},
		"beyond a start":                            {own, spec(3, 5), "web-8", false},
		"before a start":                            {own, spec(3, 5), "web-4", false},
		"the start is ignored: the first":           {kruises, spec(3, 2), "web-0", true},
		"the start is ignored: the last":            {kruises, spec(3, 2), "web-2", true},
		"the start is honoured: the last":           {kruises, spec(3, 2), "web-4", true},
		"beyond what either gives":                  {kruises, spec(3, 2), "web-5", false},
		"the start is honoured, past one left out":  {kruises, spec(3, 2, int64(3)), "web-5", true},
		"beyond what either gives past it":          {kruises, spec(3, 2, int64(3)), "web-6", false},
		"before a start, of an unknown kind":        {database, spec(3, 5), "web-4", true},
		"beyond a start, of an unknown kind":        {database, spec(3, 5), "web-8", false},
		"ordinals that are left out move the end":   {kruises, spec(2, 0, int64(0)), "web-2", true},
		"and not more than that":                    {kruises, spec(2, 0, int64(0)), "web-3", false},
		"a range of them":                           {kruises, spec(1, 0, "1-3", int64(7)), "web-4", true},
		"beyond a range of them":                    {kruises, spec(1, 0, "1-3", int64(7)), "web-5", false},
		"a reversed range counts as one":            {kruises, spec(1, 0, "3-1"), "web-2", false},
		"a huge range":                              {kruises, spec(1, 0, "0-9223372036854775807", "0-9223372036854775807"), "web-0", true},
		"a huge start":                              {kruises, spec(math.MaxInt64, math.MaxInt64), "web-0", true},
		"a start before zero":                       {kruises, spec(1, -5), "web-0", true},
		"a pod that is not numbered":                {own, spec(9, 0), "web-a", false},
		"a pod with an ordinal in another spelling": {kruises, spec(9, 0), "web-01", false},
		"a pod of another name":                     {own, spec(9, 0), "other-0", false},
		"a pod of another kind, not numbered":       {database, spec(0, 0), "web-a", true},
		"a pod of a StatefulSet of another group":   {others, spec(0, 0), "web-a", true},
		"a kind that says no number":                {database, map[string]any{}, "web-9", true},
		"a kind that says one":                      {database, spec(2, 0), "web-9", false},
		"replicas that are not a number":            {own, map[string]any{"replicas": "three"}, "web-9", true},
		"a start that is not a number":              {own, map[string]any{"ordinals": map[string]any{"start": "two"}}, "web-9", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Covers(ownerOf(c.kind, c.spec), c.pod); got != c.want {
				t.Errorf("%s with %v covers %s: %t", c.kind, c.spec, c.pod, got)
			}
		})
	}
}
