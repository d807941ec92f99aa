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

// everything is what makes a new process one of the machine's.
const everything = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS

// Inside runs a function that sees the machine's files and network, and whose
// new processes are the machine's. Its own process is not. It MUST NOT leave its
// goroutine for what has to happen inside.
func (m *Machine) Inside(f func() error) error { return m.inside(everything, f) }

// InNetwork runs a function in the machine's network: sockets that it opens are
// the machine's, and stay so afterwards. Files and processes are as outside.
// It MUST NOT leave its goroutine for what has to happen inside.
func (m *Machine) InNetwork(f func() error) error { return m.inside(unix.CLONE_NEWNET, f) }

// inside runs f on a thread that has entered the machine's namespaces. Such a
// thread is never given back to other goroutines: it ends with f.
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

// onSpareThread runs f on a thread that nothing runs on afterwards. The first
// thread of the process is never taken: it cannot end, and what /proc/self
// shows is that thread's.
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
	<-done // holding the first thread meanwhile keeps the other goroutine off it
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

// Output runs a program in the machine to its end and returns what it wrote.
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

// SystemPath is where a system's own programs are.
const SystemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Network opens the machine's network for netlink. The caller closes it.
func (m *Machine) Network() (netns.NsHandle, error) {
	handle, err := netns.GetFromPid(m.record.PID)
	if err != nil {
		return netns.None(), fmt.Errorf("opening the network of machine %q: %w", m.Spec.Name, err)
	}
	// Checked after opening: the id may have passed to another process.
	if !m.Alive() {
		handle.Close()
		return netns.None(), fmt.Errorf("opening the network of machine %q: %w", m.Spec.Name, process.ErrGone)
	}
	return handle, nil
}
