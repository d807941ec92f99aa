package fuzz

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"
)

// Target is a fuzz function of a package.
type Target struct{ Package, Name string }

// Targets returns the fuzz targets of the module at dir, in the order in which go lists its
// packages.
func Targets(ctx context.Context, dir string) ([]Target, error) {
	out, err := goCommand(ctx, dir, "test", "-list", "^Fuzz", "./...")
	if err != nil {
		return nil, fmt.Errorf("listing the fuzz targets of %s: %w\n%s", dir, err, out)
	}
	return parse(out), nil
}

// parse reads the output of go test -list: the names of a package's functions, and then a line with
// the package.
func parse(out string) (all []Target) {
	var names []string
	for line := range strings.Lines(out) {
		switch fields := strings.Fields(line); {
		case len(fields) == 1 && strings.HasPrefix(fields[0], "Fuzz"):
			names = append(names, fields[0])
		case len(fields) > 1 && fields[0] == "ok":
			for _, name := range names {
				all = append(all, Target{fields[1], name})
			}
			names = nil
		}
	}
	return all
}

// Run runs each target for the given time, as many at once as there are processors, and writes
// results to out. The error has the findings.
func Run(ctx context.Context, dir string, targets []Target, each time.Duration, out io.Writer) error {
	var mu sync.Mutex
	var failed []error
	var all sync.WaitGroup
	slots := make(chan struct{}, runtime.NumCPU())
	for _, target := range targets {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			what, err := run(ctx, dir, target, each)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = append(failed, fmt.Errorf("%s of %s: %w\n%s", target.Name, target.Package, err, what))
				fmt.Fprintf(out, "fuzz: %s %s: found something\n", target.Package, target.Name)
				return
			}
			fmt.Fprintf(out, "fuzz: %s %s: %s\n", target.Package, target.Name, what)
		})
	}
	all.Wait()
	return errors.Join(failed...)
}

// run runs one target in one process, since the targets themselves run in parallel. It returns how
// many inputs were tried or, with an error, the output.
func run(ctx context.Context, dir string, t Target, each time.Duration) (string, error) {
	for {
		out, err := goCommand(ctx, dir, "test", "-run", "^$", "-fuzz", "^"+t.Name+"$", "-fuzztime", each.String(), "-parallel", "1", t.Package)
		switch {
		case err != nil && ctx.Err() == nil && endedLate(out):
			continue
		case err != nil:
			return out, err
		}
		return last(out), nil
	}
}

// endedLate reports whether go test failed only because its time was over while an input was being
// tried, which is no finding (https://github.com/golang/go/issues/75804).
func endedLate(out string) bool {
	return strings.Contains(out, "context deadline exceeded") && !strings.Contains(out, "Failing input written")
}

// last returns the progress part of the last progress line.
func last(out string) string {
	text := "no input was tried"
	for line := range strings.Lines(out) {
		if _, rest, ok := strings.Cut(line, "execs: "); ok {
			execs, _, _ := strings.Cut(rest, " ")
			text = execs + " inputs"
		}
	}
	return text
}

func goCommand(ctx context.Context, dir string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, "go", args...)
	command.Dir = dir
	out, err := command.CombinedOutput()
	return string(out), err
}
