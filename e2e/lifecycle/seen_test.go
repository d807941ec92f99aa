package lifecycle

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/apiserver"
	"spidernet.io/spiderpool/e2e/cluster/component"
)

// kubectl runs the real one, as a user does, and returns what it prints.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	program, err := component.Path(t.Context(), "kubectl")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = []string{"KUBECONFIG=" + server.Kubeconfig, "HOME=" + t.TempDir()}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %q: %v: %s", args, err, out)
	}
	return string(out)
}

// awaitTable waits until kubectl prints a table of these rows of words.
func awaitTable(t *testing.T, want [][]string, args ...string) {
	t.Helper()
	var out string
	defer func() {
		if t.Failed() {
			t.Logf("kubectl %q prints\n%s", args, out)
		}
	}()
	apiserver.Eventually(t, fmt.Sprintf("kubectl %q prints %q", args, want), func() bool {
		out = kubectl(t, args...)
		return slices.EqualFunc(strings.Split(strings.TrimSpace(out), "\n"), want, func(line string, row []string) bool {
			return slices.Equal(strings.Fields(line), row)
		})
	})
}

// awaitDescribed waits until the description of a pool has an event with all the words in one line.
func awaitDescribed(t *testing.T, pool string, words ...string) {
	t.Helper()
	var out string
	defer func() {
		if t.Failed() {
			t.Logf("the description is\n%s", out)
		}
	}()
	apiserver.Eventually(t, fmt.Sprintf("the description of pool %q has an event with %q", pool, words), func() bool {
		out = kubectl(t, "describe", "sp", pool)
		_, events, _ := strings.Cut(out, "\nEvents:")
		for line := range strings.Lines(events) {
			if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
				return true
			}
		}
		return false
	})
}

func TestPeopleSeeWhetherAPoolIsReady(t *testing.T) {
	leadBinding(t, &byAnnotation{})
	elder := newPoolOf(t, 4, 2)
	spec := get(t, elder).Pool.Spec
	header := strings.Fields("NAME VERSION SUBNET ALLOCATED-IP-COUNT TOTAL-IP-COUNT DISABLE")
	wide := append(slices.Clone(header), "READY", "FREE", "WAITING")
	row := func(name, ready, waits string, taken, total, free int) []string {
		r := []string{name, spec.Subnet, fmt.Sprint(taken), fmt.Sprint(total)} // ipVersion and disable are the webhook's, which is not here
		return append(r, strings.Fields(fmt.Sprintf("%s %d %s", ready, free, waits))...)
	}
	settledPod(t, elder)
	awaitTable(t, [][]string{header, {elder, spec.Subnet, "1", "2", "false"}}, "get", "sp", elder)
	awaitTable(t, [][]string{wide, row(elder, "false True", "", 1, 2, 1)}, "get", "sp", elder, "-o", "wide")
	occupy(t, elder)
	awaitReason(t, waiting(t, elder), crdv1.ReasonPoolFull)
	awaitTable(t, [][]string{wide, row(elder, "false True", "true", 2, 2, 0)}, "get", "sp", elder, "-o", "wide")
	awaitDescribed(t, elder, "Normal", crdv1.ReasonInitialised, "no address is one of another pool")

	// One that shares an address, which no webhook has seen.
	younger := &crdv1.SpiderIPPool{ObjectMeta: metav1.ObjectMeta{Name: elder + "-too"}, Spec: spec}
	if err := server.Client.Create(t.Context(), younger); err != nil {
		t.Fatal(err)
	}
	awaitTable(t, [][]string{wide, row(younger.Name, "false False", "", 0, 2, 0)}, "get", "sp", younger.Name, "-o", "wide")
	awaitDescribed(t, younger.Name, "Warning", crdv1.ReasonOverlap, fmt.Sprintf("is in pool %q too", elder))
	if err := server.Client.Patch(t.Context(), younger, client.RawPatch(types.MergePatchType,
		[]byte(strings.ReplaceAll(`{"spec":{"ips":["NET.200-NET.209"]}}`, "NET", strings.TrimSuffix(spec.Subnet, ".0/24"))))); err != nil {
		t.Fatal(err)
	}
	awaitTable(t, [][]string{wide, row(younger.Name, "false True", "", 0, 10, 10)}, "get", "sp", younger.Name, "-o", "wide")
	awaitDescribed(t, younger.Name, "Normal", crdv1.ReasonInitialised)
}
