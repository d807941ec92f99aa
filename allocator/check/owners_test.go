package check

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestAnOwnerCoversWhatAnyReadingOfItsSpecAllows(t *testing.T) {
	t.Parallel()
	kruise := schema.GroupKind{Group: "apps.kruise.io", Kind: "StatefulSet"}
	game := schema.GroupKind{Group: "game.kruise.io", Kind: "GameServerSet"}
	startAt5 := map[string]any{"start": int64(5)}
	tests := map[string]struct {
		kind schema.GroupKind
		spec map[string]any
		want Covered
	}{
		"replicas":           {statefulSet, map[string]any{"replicas": int64(3)}, Covered{Below: 3}},
		"no replicas named":  {statefulSet, map[string]any{}, Covered{Below: 1}},
		"zero replicas":      {statefulSet, map[string]any{"replicas": int64(0)}, Covered{}},
		"a start":            {statefulSet, map[string]any{"replicas": int64(3), "ordinals": startAt5}, Covered{From: 5, Below: 8}},
		"a start of another": {kruise, map[string]any{"replicas": int64(3), "ordinals": startAt5}, Covered{Below: 8}},
		"a start and reserved numbers": {
			kruise, map[string]any{"replicas": int64(3), "ordinals": startAt5, "reserveOrdinals": []any{int64(6), "8-9"}}, Covered{Below: 11},
		},
		"reserved numbers that Kubernetes does not know": {
			statefulSet, map[string]any{"replicas": int64(2), "reserveOrdinals": []any{int64(0)}}, Covered{Below: 2},
		},
		"no replicas named, of another": {kruise, map[string]any{}, Covered{Below: 1}},
		"reserved numbers":              {kruise, map[string]any{"replicas": int64(2), "reserveOrdinals": []any{int64(0), int64(7)}}, Covered{Below: 4}},
		"a reserved range":              {kruise, map[string]any{"replicas": int64(2), "reserveOrdinals": []any{"3-5", int64(0)}}, Covered{Below: 6}},
		"a malformed range":             {kruise, map[string]any{"replicas": int64(2), "reserveOrdinals": []any{"5-3", "x"}}, Covered{Below: 4}},
		"a malformed start":             {kruise, map[string]any{"replicas": int64(2), "ordinals": "5"}, Covered{All: true}},
		"another kind, counted":         {game, map[string]any{"replicas": int64(2)}, Covered{Below: 2}},
		"another kind":                  {game, map[string]any{}, Covered{All: true}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := &unstructured.Unstructured{Object: map[string]any{"spec": tc.spec}}
			if got := coveredBy(tc.kind, o); got != tc.want {
				t.Errorf("covers %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestWhatAnOwnerDoesNotCoverItMisses(t *testing.T) {
	t.Parallel()
	id := identity{Owner: db, pod: "db-2"}
	tests := map[string]struct {
		owners Owners
		want   string
	}{
		"covered":        {Owners{db: {Below: 3}}, ""},
		"beyond":         {Owners{db: {Below: 2}}, "StatefulSet db has ordinals from 0 to 1 only"},
		"before":         {Owners{db: {From: 3, Below: 5}}, "StatefulSet db has ordinals from 3 to 4 only"},
		"scaled to zero": {Owners{db: {}}, "StatefulSet db has no ordinals"},
		"unknown":        {Owners{db: {All: true}}, ""},
		"gone":           {Owners{}, "StatefulSet db does not exist"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tc.owners.misses(id); got != tc.want {
				t.Errorf("misses says %q, want %q", got, tc.want)
			}
		})
	}
	for _, pod := range []string{"other", "db-x", "db"} {
		if got := (Owners{db: {Below: 2}}).misses(identity{Owner: db, pod: pod}); got != "" {
			t.Errorf("pod %s: %q, want nothing said of a name without an ordinal", pod, got)
		}
	}
}
