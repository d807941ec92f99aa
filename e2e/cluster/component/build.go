package component

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"spidernet.io/spiderpool/e2e/cluster/syspkg"
)

// tick is how often a long build reports that it is still running.
const tick = 30 * time.Second

func (b build) env() []string {
	cgo := "CGO_ENABLED=0"
	if b.cgo {
		cgo = "CGO_ENABLED=1"
	}
	// The user's own flags and workspace must not affect pinned modules.
	return []string{cgo, "GOFLAGS=", "GOWORK=off"}
}

func (b build) args(output string) []string {
	ldflags := []string{"-s", "-w"}
	if b.ldflags != nil {
		ldflags = append(ldflags, b.ldflags(b.version)...)
	}
	args := []string{"build", "-trimpath", "-buildvcs=false", "-mod=readonly", "-tags=" + b.tags, "-ldflags=" + strings.Join(ldflags, " "), "-o", output}
	return append(args, b.packages...)
}

// run builds into a temporary folder next to the final one and renames it.
func (s *Store) run(ctx context.Context, b build) error {
	if b.headers {
		if err := syspkg.Ensure(ctx, s.Out, syspkg.CCompiler, syspkg.Seccomp); err != nil {
			return err
		}
	}
	temp, err := os.MkdirTemp(filepath.Dir(b.dir), "building-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	bin := filepath.Join(temp, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return err
	}
	what := b.name + " " + b.version
	stop := progress(s.Out, what, b.takes)
	err = goBuild(ctx, b.source, b.env(), b.args(bin+string(filepath.Separator)))
	stop(err)
	if err != nil {
		return err
	}
	for _, link := range b.links {
		if err := os.Symlink(b.name, filepath.Join(bin, link)); err != nil {
			return err
		}
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		return err
	}
	return os.Rename(temp, b.dir)
}

func goBuild(ctx context.Context, dir string, env, args []string) error {
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // lets go remove its work folder
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("running go %s in %s: %w\n%s", strings.Join(args, " "), dir, err, output.Bytes())
	}
	return nil
}

// progress announces a build and reports how long it has taken until the returned function is
// called with the result.
func progress(out io.Writer, what, takes string) func(error) {
	start := time.Now()
	age := func() time.Duration { return time.Since(start).Round(time.Second) }
	fmt.Fprintf(out, "building %s (%s the first time)…\n", what, takes)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				fmt.Fprintf(out, "  still building %s, %s\n", what, age())
			case <-quit:
				return
			}
		}
	}()
	return func(err error) {
		close(quit)
		<-done
		if err == nil {
			fmt.Fprintf(out, "built %s in %s\n", what, age())
		}
	}
}
