package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"spidernet.io/spiderpool/e2e/cluster/process"
)

// Backup stops etcd for a moment and copies its data. The copy is removed with the control plane.
func (c *ControlPlane) Backup(ctx context.Context) (string, error) {
	data, err := c.etcdData()
	if err != nil {
		return "", err
	}
	if err := c.Etcd.Stop(ctx, grace); err != nil {
		return "", err
	}
	backup, err := os.MkdirTemp(filepath.Dir(data), "backup-")
	if err != nil {
		return "", err
	}
	if err := os.CopyFS(backup, os.DirFS(data)); err != nil {
		return "", fmt.Errorf("copying etcd's data: %w", err)
	}
	if err := c.Etcd.Restart(); err != nil {
		return "", err
	}
	return backup, c.Ready(ctx)
}

// Restore restores etcd from a backup, and restarts what remembers more than etcd does: the API
// server and the controller manager. What was created after the backup never existed, and resource
// versions go back.
func (c *ControlPlane) Restore(ctx context.Context, backup string) error {
	data, err := c.etcdData()
	if err != nil {
		return err
	}
	for _, p := range c.processes() {
		if err := p.Stop(ctx, grace); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(data); err != nil {
		return err
	}
	if err := os.Mkdir(data, 0o700); err != nil { // etcd requires it
		return err
	}
	if err := os.CopyFS(data, os.DirFS(backup)); err != nil {
		return fmt.Errorf("restoring etcd's data: %w", err)
	}
	if err := restart(c.Etcd, c.APIServer); err != nil {
		return err
	}
	if err := c.Ready(ctx); err != nil { // the others wait for it only a few seconds, and exit
		return err
	}
	return restart(slices.DeleteFunc(c.processes(), (*process.Process).Alive)...)
}

func restart(all ...*process.Process) error {
	for _, p := range all {
		if err := p.Restart(); err != nil {
			return err
		}
	}
	return nil
}

// etcdData returns etcd's data folder, from its arguments.
func (c *ControlPlane) etcdData() (string, error) {
	for _, arg := range c.Etcd.Spec.Args {
		if dir, ok := strings.CutPrefix(arg, "--data-dir="); ok {
			return dir, nil
		}
	}
	return "", fmt.Errorf("etcd was started without a data folder: %q", c.Etcd.Spec.Args)
}
