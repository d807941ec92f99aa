package machine

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strings"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"spidernet.io/spiderpool/e2e/cluster/process"
)

// everything is the set of namespaces that makes a new process one of the machine's.
const everything = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS

// Inside runs a function that sees the machine's files and network, and starts its processes in the
// machine. The calling process itself is not in it. Everything that has to happen inside MUST be
// done in the function's own goroutine.
func (m *Machine) Inside(f func() error) error { return m.inside(everything, f) }

// InNetwork runs a function in the machine's network: sockets that it opens are the machine's, and
// stay so afterwards. Files and processes are those outside. Everything that has to happen inside
// MUST be done in the function's own goroutine.
func (m *Machine) InNetwork(f func() error) error { return m.inside(unix.CLONE_NEWNET, f) }

// inside runs f on a thread that has entered the machine's namespaces. The thread is never reused
// for other goroutines: it ends with f.
func (m *Machine) inside(namespaces int, f func() error) error {
	result := make(chan error, 1)
	go onSpareThread(func() {
		if err := m.enter(namespaces); err != nil {
			result <- fmt.Errorf("entering machine %q: %w", m.Spec.Name, err)
			return
		}
		result <- f()
	})
	return <-result
}

// onSpareThread runs f on a thread that nothing runs on afterwards. It never uses the first thread
// of the process: that cannot end, and /proc/self shows that thread's namespaces.
func onSpareThread(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		f()
		return // still locked: the thread ends
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		onSpareThread(f)
	}()
	<-done // keeps the first thread busy meanwhile, so that the other goroutine does not get it
	runtime.UnlockOSThread()
}

func (m *Machine) enter(namespaces int) error {
	fd, err := m.record.PIDFD()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if namespaces&unix.CLONE_NEWNS != 0 {
		// Threads share root and working folder; one that enters other mounts must not.
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return err
		}
	}
	return unix.Setns(fd, namespaces)
}

// Output runs a program in the machine until it exits and returns its output.
func (m *Machine) Output(ctx context.Context, path string, args ...string) ([]byte, error) {
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env, cmd.Dir = []string{"PATH=" + SystemPath}, "/"
	cmd.Stdout, cmd.Stderr = &output, &output
	err := m.Inside(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return nil, fmt.Errorf("running %s %s on %q: %w\n%s", path, strings.Join(args, " "), m.Spec.Name, err, output.Bytes())
	}
	return output.Bytes(), nil
}

// SystemPath is the PATH of a system's own programs.
const SystemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Network opens the machine's network for netlink. The caller closes it.
func (m *Machine) Network() (netns.NsHandle, error) {
	handle, err := netns.GetFromPid(m.record.PID)
	if err != nil {
		return netns.None(), fmt.Errorf("opening the network of machine %q: %w", m.Spec.Name, err)
	}
	// Checked after opening: the PID may have been reused.
	if !m.Alive() {
		handle.Close()
		return netns.None(), fmt.Errorf("opening the network of machine %q: %w", m.Spec.Name, process.ErrGone)
	}
	return handle, nil
}
