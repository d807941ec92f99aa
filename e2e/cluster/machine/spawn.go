package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"spidernet.io/spiderpool/e2e/cluster/process"
)

// How a machine's processes are started. The process that starts one may exit long before it, and
// its new parent has to reap it. That must be the machine's first process: the first process of the
// computer may be one that never reaps, and a zombie keeps the machine from ending. The kernel
// passes an orphan to the machine's first process only if the parent that died was in the machine
// too. So cmd/machine is started inside, starts itself again, and exits; the second one, an orphan
// at once, tells us its PID, waits for our reply, and executes the program.

// Arguments that tell cmd/machine to do something other than being a machine, each followed by a
// program and its arguments.
const (
	SpawnWord  = "spawn"
	BecomeWord = "become"
)

// SpawnFD is the socket between the new process and us. On our end the kernel says which process
// writes, by its PID in our own namespace.
const SpawnFD = 3

// programFD is cmd/machine itself, which need not be among the machine's files.
const programFD = 4

// Start starts a program in the machine. It lives as long as the machine.
func (m *Machine) Start(spec process.Spec) (*process.Process, error) {
	spec.Survive = true
	return process.Start(m.Place, spec)
}

// Place starts the machine's processes. Paths are the machine's own.
func (m *Machine) Place(cmd *exec.Cmd) (process.Child, error) {
	program, err := m.program()
	if err != nil {
		return process.Child{}, err
	}
	defer program.Close()
	ours, theirs, err := socketPair()
	if err != nil {
		return process.Child{}, err
	}
	defer ours.Close()
	cmd.ExtraFiles = []*os.File{theirs, program}
	cmd.Args = slices.Concat([]string{"machine", SpawnWord, cmd.Path}, cmd.Args[1:])
	cmd.Path = "/proc/self/fd/" + strconv.Itoa(programFD)
	err = m.Inside(cmd.Start)
	theirs.Close()
	if err != nil {
		return process.Child{}, err
	}
	if err := cmd.Wait(); err != nil {
		return process.Child{}, fmt.Errorf("bearing a process on %q: %w", m.Spec.Name, err)
	}
	record, err := handshake(ours)
	if err != nil {
		return process.Child{}, fmt.Errorf("bearing a process on %q: %w", m.Spec.Name, err)
	}
	wait := func() { record.Wait(context.Background()) } //nolint:errcheck // fails only where pidfds are not supported
	return process.Child{Record: record, Wait: wait}, nil
}

// program opens the program of the machine's first process.
func (m *Machine) program() (*os.File, error) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/exe", m.record.PID))
	if err != nil || !m.Alive() { // checked after opening: the PID may have been reused
		if err == nil {
			file.Close()
		}
		return nil, process.ErrGone
	}
	return file, nil
}

func socketPair() (ours *net.UnixConn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	near, far := os.NewFile(uintptr(fds[0]), "spawn"), os.NewFile(uintptr(fds[1]), "spawned")
	defer near.Close()
	err = unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	if err == nil {
		var conn net.Conn
		if conn, err = net.FileConn(near); err == nil {
			return conn.(*net.UnixConn), far, nil //nolint:errcheck // it was made as one
		}
	}
	far.Close()
	return nil, nil, err
}

// handshake learns the PID of the new process, lets it execute the program, and returns once it
// has.
func handshake(conn *net.UnixConn) (process.Record, error) {
	pid, err := senderOf(conn)
	if err != nil {
		return process.Record{}, err
	}
	record, err := process.Identify(pid) // it waits for us, so it is still there
	if err != nil {
		return process.Record{}, err
	}
	if _, err := conn.Write([]byte("go on")); err != nil {
		return process.Record{}, err
	}
	// The kernel closes its end when it executes the program; otherwise it sends an error.
	complaint, err := io.ReadAll(conn)
	if err == nil && len(complaint) > 0 {
		err = errors.New(string(complaint))
	}
	return record, err
}

// senderOf reads one message and returns the PID of its writer according to the kernel.
func senderOf(conn *net.UnixConn) (int, error) {
	data, control := make([]byte, 64), make([]byte, unix.CmsgSpace(unix.SizeofUcred))
	_, n, _, _, err := conn.ReadMsgUnix(data, control)
	if err != nil {
		return 0, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil {
		return 0, err
	}
	for i := range messages {
		if sender, err := unix.ParseUnixCredentials(&messages[i]); err == nil {
			return int(sender.Pid), nil
		}
	}
	return 0, errors.New("the new process did not report its PID")
}
