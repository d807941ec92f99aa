package demo

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"spidernet.io/spiderpool/e2e/install"
)

func TestDemoShowsWhatBehaviourSeed1Proves(t *testing.T) {
	t.Parallel()
	read := func(file string) []*unstructured.Unstructured {
		t.Helper()
		manifest, err := os.ReadFile(filepath.Join("../..", file))
		if err != nil {
			t.Fatal(err)
		}
		objects, err := install.Objects(manifest)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects { // the user's default namespace, named or not
			if o.GetNamespace() == "default" {
				o.SetNamespace("")
			}
		}
		return objects
	}
	if diff := cmp.Diff(read("e2e/behaviours/nodes/seed-1.yaml"), slices.Concat(read(poolManifest), read(cloneSetManifest))); diff != "" {
		t.Errorf("manifests (-behaviour +demo):\n%s", diff)
	}
}

func TestShownCommandsCanBeRepeatedInAShell(t *testing.T) {
	t.Parallel()
	got := quoted([]string{"get", "po", "-o", `jsonpath={.items[*]['metadata.name']}`})
	if want := `get po -o 'jsonpath={.items[*]['\''metadata.name'\'']}'`; got != want {
		t.Errorf("shown is %s, want %s", got, want)
	}
}
