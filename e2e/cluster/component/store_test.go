package component

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"spidernet.io/spiderpool/e2e/cluster/filelock"
)

// tiny is a component without dependencies that builds in a moment.
var tiny = component{
	name:     "tiny",
	module:   "example.test/dependency",
	packages: []string{"."},
	links:    []string{"alias"},
	ldflags:  func(version string) []string { return []string{"-X", "main.version=" + version} },
	takes:    "a second",
}

// newStore lays out the module of tiny and returns a store for it.
func newStore(t *testing.T) (*Store, *bytes.Buffer) {
	t.Helper()
	out := new(bytes.Buffer)
	s := &Store{Cache: t.TempDir(), Modules: t.TempDir(), Out: out}
	for name, text := range map[string]string{
		"go.mod": "module example.test/tiny\n\ngo 1.26.0\n\n" +
			"require example.test/dependency v1.2.3\n\nreplace example.test/dependency => ./dependency\n",
		"main.go":            "package main\n\nvar version string\n\nfunc main() { print(version) }\n",
		"dependency/go.mod":  "module example.test/dependency\n",
		"dependency/code.go": "package dependency\n",
	} {
		writeSource(t, s, name, text)
	}
	return s, out
}

func writeSource(t *testing.T, s *Store, name, text string) {
	t.Helper()
	file := filepath.Join(s.Modules, "tiny", name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestConcurrentCallersWaitForOneBuild(t *testing.T) {
	t.Parallel()
	s, out := newStore(t)
	// The callers share nothing but the cache, like different processes.
	var mu sync.Mutex
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			own := new(bytes.Buffer)
			dir, err := (&Store{Cache: s.Cache, Modules: s.Modules, Out: own}).dir(t.Context(), tiny)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := os.Stat(filepath.Join(dir, "tiny")); err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			out.Write(own.Bytes())
		})
	}
	all.Wait()
	if got := strings.Count(out.String(), "built tiny v1.2.3 in "); got != 1 {
		t.Errorf("built %d times, want once:\n%s", got, out)
	}
}

func TestProgramsKnowTheirVersionAndTheirName(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	dir, err := s.dir(t.Context(), tiny)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range tiny.programs() {
		output, err := exec.CommandContext(t.Context(), filepath.Join(dir, name)).CombinedOutput()
		if err != nil || string(output) != "v1.2.3" {
			t.Errorf("%s says %q (%v), want its version", name, output, err)
		}
	}
}

func TestChangedSourceIsAnotherBuild(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	first, err := s.dir(t.Context(), tiny)
	if err != nil {
		t.Fatal(err)
	}
	same, err := s.dir(t.Context(), tiny)
	if err != nil || same != first {
		t.Errorf("unchanged: got %s (%v), want %s", same, err, first)
	}
	writeSource(t, s, "dependency/code.go", "package dependency // changed\n")
	second, err := s.dir(t.Context(), tiny)
	if err != nil || second == first {
		t.Errorf("changed: got %s (%v), want another folder", second, err)
	}
}

func TestFailedBuildSaysWhyAndLeavesNothing(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	writeSource(t, s, "main.go", "package main\n\nfunc main() { nonsense() }\n")
	_, err := s.dir(t.Context(), tiny)
	if err == nil || !strings.Contains(err.Error(), "undefined: nonsense") {
		t.Errorf("got %v, want the compiler's words", err)
	}
	entries, err := os.ReadDir(filepath.Join(s.Cache, "tiny"))
	if err != nil || len(entries) != 1 || entries[0].Name() != "lock" {
		t.Errorf("left in the cache: %v (%v), want the lock only", entries, err)
	}
}

func TestWaitingForAnotherBuildEndsWithTheContext(t *testing.T) {
	t.Parallel()
	s, out := newStore(t)
	if err := os.Mkdir(filepath.Join(s.Cache, "tiny"), 0o755); err != nil {
		t.Fatal(err)
	}
	unlock, err := filelock.Take(t.Context(), filepath.Join(s.Cache, "tiny", "lock"), func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(enough)
	if _, err := s.dir(ctx, tiny); !errors.Is(err, enough) {
		t.Errorf("got %v, want %v", err, enough)
	}
	if !strings.Contains(out.String(), "waiting for another build of tiny") {
		t.Errorf("it does not say what it waits for: %q", out)
	}
}

func TestEveryComponentIsPinned(t *testing.T) {
	t.Parallel()
	s, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	owners := map[string]string{} // program -> its component
	for _, c := range components {
		b, err := s.plan(c)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if _, err := os.Stat(filepath.Join(b.source, "go.sum")); err != nil {
			t.Error(err)
		}
		for _, program := range c.programs() {
			if other, ok := owners[program]; ok {
				t.Errorf("%s builds %s, and so does %s", c.name, program, other)
			}
			owners[program] = c.name
		}
	}
	if _, err := byProgram("podman"); err == nil || !strings.Contains(err.Error(), `"podman"`) || !strings.Contains(err.Error(), "kubectl") {
		t.Errorf("an unknown program: got %v, want it and the known ones named", err)
	}
}

func TestStampNamesTheVersion(t *testing.T) {
	t.Parallel()
	got := fmt.Sprint(stampKubernetes("v1.37.2"))
	for _, want := range []string{"gitVersion=v1.37.2", "gitMajor=1", "gitMinor=37"} {
		if !strings.Contains(got, want) {
			t.Errorf("got %s, want %s in it", got, want)
		}
	}
}
