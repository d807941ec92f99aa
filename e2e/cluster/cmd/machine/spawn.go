package main

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"spidernet.io/spiderpool/e2e/cluster/machine"
)

// spawn starts this program again to become another one, and does not wait: when it exits, that
// process becomes an orphan and so a child of the machine's first process.
func spawn(args []string) error {
	_, err := os.StartProcess("/proc/self/exe", append([]string{"machine", machine.BecomeWord}, args...), &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr, os.NewFile(machine.SpawnFD, "spawn")},
		Env:   os.Environ(),
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	return err
}

// become reports its PID, waits for the reply, and executes a program. It returns only if that
// fails, and then reports the error too.
func become(args []string) error {
	unix.CloseOnExec(machine.SpawnFD)
	if _, err := unix.Write(machine.SpawnFD, []byte("here I am")); err != nil {
		return err
	}
	if _, err := unix.Read(machine.SpawnFD, make([]byte, 64)); err != nil {
		return err
	}
	err := &os.PathError{Op: "running", Path: args[0], Err: syscall.Exec(args[0], args, os.Environ())}
	unix.Write(machine.SpawnFD, []byte(err.Error())) //nolint:errcheck // there is no other way to report it
	return err
}
