package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"spidernet.io/spiderpool/e2e/cluster/machine"
	"spidernet.io/spiderpool/e2e/cluster/process"
)

// Down ends a cluster, whichever process made it and even if it is incomplete, and removes
// everything but its logs. Without a cluster it does nothing.
func Down(ctx context.Context, name string, out io.Writer) error {
	p, err := placeOf(name)
	if err != nil {
		return err
	}
	if _, err := os.Stat(p.state); errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat(p.disk); errors.Is(err, os.ErrNotExist) {
			return nil
		}
	}
	if err := checkRoot(); err != nil {
		return err
	}
	unlock, err := p.take(ctx, out)
	if err != nil {
		return err
	}
	defer unlock()
	if err := p.clear(ctx); err != nil {
		return fmt.Errorf("taking cluster %q down: %w", p.id, err)
	}
	return nil
}

// clear ends and removes what exists of a cluster. The order matters: first what can create new
// things, last what records where everything is.
func (p place) clear(ctx context.Context) error {
	machines, err := p.machines()
	if err != nil {
		return err
	}
	var kills errgroup.Group
	for _, m := range machines {
		kills.Go(func() error { return m.Kill(ctx) })
	}
	if err := kills.Wait(); err != nil {
		return err
	}
	if err := removeCgroup(ctx, p.cgroup()); err != nil {
		return err
	}
	for _, file := range []string{p.kubeconfig(), p.bin()} {
		if err := os.RemoveAll(file); err != nil {
			return err
		}
	}
	if err := removeDisk(p.disk); err != nil {
		return err
	}
	// The folder of all clusters is removed with the last of them.
	if err := unix.Rmdir(disks); err != nil && !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

// machines returns what was started below the cluster's disk. Every machine writes its record there
// before it does anything else.
func (p place) machines() ([]*machine.Machine, error) {
	entries, err := os.ReadDir(p.disk)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var machines []*machine.Machine
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		m, err := machine.Attach(filepath.Join(p.disk, e.Name()))
		if errors.Is(err, process.ErrGone) {
			continue
		}
		if err != nil {
			return nil, err
		}
		machines = append(machines, m)
	}
	return machines, nil
}

// removeDisk removes the cluster's files. What a node saw as its /usr was mounted for the node only
// and is gone with it; if anything is still mounted below nevertheless, removing would delete files
// of this computer.
func removeDisk(dir string) error {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) > 4 && strings.HasPrefix(fields[4]+"/", dir+"/") {
			return fmt.Errorf("%s is mounted: not removing %s", fields[4], dir)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return os.RemoveAll(dir)
}
