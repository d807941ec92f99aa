package main

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"spidernet.io/spiderpool/e2e/cluster/machine"
)

// mountAll sets up the machine's mounts. None of them may be visible outside, so that is ensured
// first.
func mountAll(spec machine.Spec) error {
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("keeping mounts to ourselves: %w", err)
	}
	if spec.Root == "" {
		return mountProc("/")
	}
	if err := bind(spec.Root, spec.Root, true); err != nil {
		return err
	}
	for _, m := range spec.Mounts {
		if err := bind(m.Source, filepath.Join(spec.Root, m.Target), m.Writable); err != nil {
			return err
		}
	}
	if err := mountProc(spec.Root); err != nil {
		return err
	}
	if err := mountSys(spec.Root); err != nil {
		return err
	}
	if err := bind("/dev", filepath.Join(spec.Root, "dev"), true); err != nil {
		return err
	}
	if err := changeRoot(spec.Root); err != nil {
		return fmt.Errorf("making %s the root: %w", spec.Root, err)
	}
	// Pods may ask for mount propagation to their node.
	return unix.Mount("", "/", "", unix.MS_SHARED|unix.MS_REC, "")
}

// mountProc mounts a /proc with the machine's processes only below root.
func mountProc(root string) error {
	if err := unix.Mount("proc", filepath.Join(root, "proc"), "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	return nil
}

// mountSys mounts a /sys with the machine's interfaces below root, and the cgroups of this
// computer: those have no namespace here, since the kubelet must find its own at the paths that the
// kernel reports.
func mountSys(root string) error {
	sys := filepath.Join(root, "sys")
	if err := unix.Mount("sysfs", sys, "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mounting /sys: %w", err)
	}
	return bind("/sys/fs/cgroup", filepath.Join(sys, "fs", "cgroup"), true)
}

// bind mounts source, with everything mounted in it, at target.
func bind(source, target string, writable bool) error {
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("binding %s to %s: %w", source, target, err)
	}
	if writable {
		return nil
	}
	// Only mount_setattr makes the whole tree read-only, including mounts in it.
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(unix.AT_FDCWD, target, unix.AT_RECURSIVE, &attr); err != nil {
		return fmt.Errorf("making %s read-only: %w", target, err)
	}
	return nil
}

// changeRoot makes root the machine's / and detaches everything that is not below it.
func changeRoot(root string) error {
	if err := os.Chdir(root); err != nil {
		return err
	}
	// The old root is mounted over the new one and is detached at once.
	if err := unix.PivotRoot(".", "."); err != nil {
		return err
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return err
	}
	return os.Chdir("/")
}
