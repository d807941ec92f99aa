package syspkg

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func missing(what string) Need {
	return Need{
		What: what, Why: "it does things", Present: func() bool { return false },
		packages: map[string][]string{"apt-get": {what + "-deb"}, "dnf": {what + "-rpm"}, "apk": {what + "-apk"}},
	}
}

func TestExplanationSaysWhatIsMissingAndWhatToRun(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		tool string
		root bool
		want string
	}{
		"debian, not root": {"apt-get", false, "this is missing (it does things); that is missing (it does things); run: sudo apt-get install this-deb that-deb"},
		"fedora, root":     {"dnf", true, "this is missing (it does things); that is missing (it does things); run: dnf install this-rpm that-rpm"},
		"alpine, not root": {"apk", false, "this is missing (it does things); that is missing (it does things); run: sudo apk add this-apk that-apk"},
		"unknown system":   {"", true, "this is missing (it does things); that is missing (it does things); no known package tool is here: install what Debian calls this-deb that-deb"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := explain([]Need{missing("this"), missing("that")}, test.tool, test.root)
			if err.Error() != test.want {
				t.Errorf("got  %s\nwant %s", err, test.want)
			}
		})
	}
}

func TestEnsureLeavesAloneWhatIsPresent(t *testing.T) {
	t.Parallel()
	present := missing("this")
	present.Present = func() bool { return true }
	var out strings.Builder
	if err := Ensure(t.Context(), &out, present); err != nil || out.Len() != 0 {
		t.Errorf("got %v and %q, want nothing", err, out.String())
	}
}

func TestEveryNeedHasPackagesForEveryTool(t *testing.T) {
	t.Parallel()
	for _, n := range []Need{CCompiler, Seccomp, Nftables, Mount, Busybox, Strace} {
		for _, tool := range tools {
			if len(n.packages[tool]) == 0 {
				t.Errorf("%s: no package for %s", n.What, tool)
			}
		}
		if n.What == "" || n.Why == "" {
			t.Errorf("%+v does not say what and why", n)
		}
	}
}

func TestADynamicProgramIsRefused(t *testing.T) {
	t.Parallel()
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{text, "/bin/sh"} {
		if err := checkStatic(file); err == nil {
			t.Errorf("%s passes as a static program", file)
		}
	}
}
