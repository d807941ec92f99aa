package nodes_test

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"spidernet.io/spiderpool/e2e/behaviours"
	"spidernet.io/spiderpool/e2e/behaviours/nodes"
)

// clusterName sets the suite's cluster beside those of people; CLUSTER=name beside that of another
// run of the suite.
var clusterName = cmp.Or(os.Getenv("CLUSTER"), "behaviours")

var env *behaviours.Env

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (code int) {
	ctx := context.Background()
	ctrl.SetLogger(logr.Discard()) // controller-runtime complains where nobody did
	// They wait for nodes most of the time: few cores are no reason to do so one after the other.
	// What is said on the command line wins.
	err := flag.Set("test.parallel", "16")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if env, err = behaviours.StartCluster(ctx, clusterName, nodes.All); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code = m.Run()
	if code != 0 {
		fmt.Fprintf(os.Stderr, "the controller's log:\n%s\n", env.Log())
	}
	if err := env.Finish(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if err := env.Stop(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

func TestBehaviours(t *testing.T) { behaviours.Run(t, env, nodes.All) }

func TestEveryBehaviourIsOneGoAndOneManifestOfItsID(t *testing.T) {
	t.Parallel()
	stems := map[string]bool{} // stem -> runs
	for _, b := range nodes.All {
		stems[b.ID] = true
		for _, ext := range []string{".go", ".yaml"} {
			if _, err := os.Stat(b.ID + ext); err != nil {
				t.Error(err)
			}
		}
	}
	manifests, err := filepath.Glob("*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range manifests {
		if stem := strings.TrimSuffix(file, ".yaml"); !stems[stem] {
			t.Errorf("%s belongs to no behaviour that runs", file)
		}
	}
}
