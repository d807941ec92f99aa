package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Run runs all checks on the tree at root and writes their output to out. It continues after a
// failed check, and returns all errors.
func Run(ctx context.Context, root string, out io.Writer) error {
	var failed []error
	for _, check := range []struct {
		name string
		run  func(ctx context.Context, root string, out io.Writer) error
	}{
		{"modules are tidy", tidy},
		{"generated files are as committed", generated},
		{"the linter is content", lint},
	} {
		fmt.Fprintf(out, "verify: %s\n", check.name)
		if err := check.run(ctx, root, out); err != nil {
			failed = append(failed, fmt.Errorf("not so: %s: %w", check.name, err))
		}
	}
	return errors.Join(failed...)
}

// modules are the folders of the modules with our code.
var modules = []string{".", "e2e"}

func tidy(ctx context.Context, root string, out io.Writer) error {
	var failed []error
	for _, m := range modules {
		failed = append(failed, command(ctx, filepath.Join(root, m), out, "go", "mod", "tidy", "-diff"))
	}
	return errors.Join(failed...)
}

func lint(ctx context.Context, root string, out io.Writer) error {
	return command(ctx, root, out, "make", "--no-print-directory", "lint")
}

// generated runs make generate in a copy of the tree.
func generated(ctx context.Context, root string, out io.Writer) error {
	dir, err := os.MkdirTemp("", "verify-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	files, err := tracked(ctx, root)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := copyFile(filepath.Join(root, f), filepath.Join(dir, f)); err != nil {
			return err
		}
	}
	if err := command(ctx, dir, out, "make", "--no-print-directory", "generate"); err != nil {
		return err
	}
	return compare(root, dir, files)
}

// tracked returns the files that git knows or would add.
func tracked(ctx context.Context, root string) ([]string, error) {
	var list bytes.Buffer
	if err := command(ctx, root, &list, "git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"); err != nil {
		return nil, err
	}
	files := strings.Split(strings.TrimRight(list.String(), "\x00"), "\x00")
	return slices.DeleteFunc(files, func(f string) bool {
		info, err := os.Lstat(filepath.Join(root, f))
		return err != nil || !info.Mode().IsRegular() // deleted but not committed
	}), nil
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}

// compare names the files that differ in the copy, and those that are new.
func compare(root, dir string, files []string) error {
	var differ []error
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if !slices.Contains(files, name) {
			differ = append(differ, fmt.Errorf("%s is generated and not committed: run make generate", name))
			return nil
		}
		want, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		have, err := os.ReadFile(filepath.Join(root, name))
		if err == nil && !bytes.Equal(want, have) {
			differ = append(differ, fmt.Errorf("%s is not what its sources say: run make generate", name))
		}
		return err
	})
	return errors.Join(append(differ, err)...)
}

func command(ctx context.Context, dir string, out io.Writer, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir, c.Stdout, c.Stderr = dir, out, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s %s in %s: %w", name, strings.Join(args, " "), filepath.Base(dir), err)
	}
	return nil
}
