package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// hierarchy is a tree of cgroups: one per controller in version 1, a single one in version 2, or
// some of both.
type hierarchy struct {
	path        string
	version2    bool
	controllers []string // of version 1
}

// hierarchies reads where the kernel's cgroups are mounted.
func hierarchies() ([]hierarchy, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var found []hierarchy
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if len(left) < 5 || len(right) < 3 || !strings.HasPrefix(left[4], "/sys/fs/cgroup") {
			continue
		}
		switch right[0] {
		case "cgroup":
			found = append(found, hierarchy{path: left[4], controllers: strings.Split(right[2], ",")})
		case "cgroup2":
			found = append(found, hierarchy{path: left[4], version2: true})
		}
	}
	if len(found) == 0 && lines.Err() == nil {
		return nil, errors.New("no cgroups are mounted below /sys/fs/cgroup: nodes cannot limit their pods")
	}
	return found, lines.Err()
}

// makeCgroup makes a cgroup in every hierarchy, ready for the kubelet to make its own below it.
func makeCgroup(name string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		if err := h.make(name); err != nil {
			return fmt.Errorf("making cgroup %s in %s: %w", name, h.path, err)
		}
	}
	return nil
}

func (h hierarchy) make(name string) error {
	parent := h.path
	for _, element := range strings.Split(strings.Trim(name, "/"), "/") {
		if h.version2 {
			if err := delegate(parent); err != nil {
				return err
			}
		}
		child := filepath.Join(parent, element)
		if err := os.Mkdir(child, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if slices.Contains(h.controllers, "cpuset") {
			if err := inherit(parent, child, "cpuset.cpus", "cpuset.mems"); err != nil {
				return err
			}
		}
		parent = child
	}
	if h.version2 {
		return delegate(parent)
	}
	return nil
}

// enterCgroup puts a process, and everything that it will start, into a new cgroup as far as
// processors are concerned. In version 2 it has no children, and its parent no processes.
func enterCgroup(name string, pid int) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		if !h.version2 && !slices.Contains(h.controllers, "cpu") {
			continue
		}
		dir := filepath.Join(h.path, name)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644); err != nil {
			return fmt.Errorf("putting process %d into cgroup %s: %w", pid, dir, err)
		}
	}
	return nil
}

// inherit copies settings that are empty in a new cgroup of version 1 and without which no process
// can be added.
func inherit(parent, child string, settings ...string) error {
	for _, s := range settings {
		value, err := os.ReadFile(filepath.Join(parent, s))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(child, s), value, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// delegate enables for the children of a cgroup of version 2 all controllers that it has itself.
func delegate(dir string) error {
	data, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, controller := range strings.Fields(string(data)) {
		err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+controller), 0o644)
		if err != nil && !errors.Is(err, unix.ENOTSUP) {
			return err
		}
	}
	return nil
}

// removeCgroup removes a cgroup and everything below it from every hierarchy. Its processes have
// been killed; the kernel may still be busy with the last ones.
func removeCgroup(ctx context.Context, name string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		path := filepath.Join(h.path, name)
		err := await(ctx, "the end of cgroup "+path, func(context.Context) error { return removeTree(path) })
		if err != nil {
			return err
		}
	}
	return nil
}

// removeTree removes the folders of a cgroup, the deepest first; their files cannot be removed and
// go with them.
func removeTree(path string) error {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeTree(filepath.Join(path, e.Name())); err != nil {
				return err
			}
		}
	}
	err = unix.Rmdir(path)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}
