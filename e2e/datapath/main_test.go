package datapath

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"spidernet.io/spiderpool/e2e/cluster/component"
	"spidernet.io/spiderpool/e2e/cluster/syspkg"
)

// Folders of programs, told by the outer process to the inner one.
const (
	ownVariable    = "SPIDERPOOL_DATAPATH_OWN"     // this repository's
	pluginVariable = "SPIDERPOOL_DATAPATH_PLUGINS" // cnitool and the reference plugins
)

// cniState is where libcni keeps the results of ADD.
const cniState = "/var/lib/cni"

func TestMain(m *testing.M) {
	if os.Getenv(ownVariable) == "" {
		os.Exit(outside())
	}
	if err := furnish(); err != nil {
		fmt.Fprintf(os.Stderr, "datapath: %v\n", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// outside builds what is needed and runs the tests in namespaces of their own.
func outside() int {
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "datapath: these tests make network namespaces, which takes root: run them with sudo, or run `make unit`, which needs none")
		return 1
	}
	own, err := os.MkdirTemp("", "datapath")
	if err != nil {
		fmt.Fprintf(os.Stderr, "datapath: %v\n", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(own) }() // a folder of temporary files
	code, err := runInside(own)
	if err != nil {
		fmt.Fprintf(os.Stderr, "datapath: %v\n", err)
		return 1
	}
	return code
}

func runInside(own string) (int, error) {
	ctx := context.Background()
	for _, program := range []string{
		"cni/cmd/spiderpool", "cni/cmd/spiderpool-installer", "e2e/datapath/peak", "e2e/datapath/empty",
	} {
		if _, err := component.Own(ctx, program, own); err != nil {
			return 0, err
		}
	}
	cnitool, err := component.Path(ctx, "cnitool")
	if err != nil {
		return 0, err
	}
	if err := syspkg.Ensure(ctx, os.Stderr, syspkg.Strace); err != nil {
		return 0, err
	}
	if _, err := os.Stat(cniState); errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(cniState, 0o755); err != nil { // as libcni makes it
			return 0, err
		}
		defer func() { _ = os.Remove(cniState) }() // succeeds while it is empty, which a mount point is
	}
	runtime.LockOSThread() // the child dies with the thread that started it
	command := exec.CommandContext(ctx, "/proc/self/exe", os.Args[1:]...)
	command.Env = append(os.Environ(), ownVariable+"="+own, pluginVariable+"="+filepath.Dir(cnitool))
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	err = command.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}

// furnish makes the new namespaces usable: nothing mounted here is seen outside, and loopback is
// up.
func furnish() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	for _, folder := range []string{"/run", cniState} {
		if err := unix.Mount("tmpfs", folder, "tmpfs", 0, ""); err != nil {
			return fmt.Errorf("mounting %s: %w", folder, err)
		}
	}
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("finding loopback: %w", err)
	}
	if err := netlink.LinkSetUp(loopback); err != nil {
		return fmt.Errorf("setting loopback up: %w", err)
	}
	return nil
}

func ownProgram(name string) string { return filepath.Join(os.Getenv(ownVariable), name) }

func referenceProgram(name string) string { return filepath.Join(os.Getenv(pluginVariable), name) }

// cniPath is where runtimes look for plugins.
func cniPath() string {
	return strings.Join([]string{os.Getenv(ownVariable), os.Getenv(pluginVariable)}, ":")
}
