package process

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrGone says that the process of a record has ended.
var ErrGone = errors.New("process is gone")

// Record identifies one process uniquely on this computer, even after a reboot.
type Record struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks since boot, as in /proc/<pid>/stat
	Boot  string `json:"boot"`  // the kernel's boot id
}

// Identify makes the record of a running process.
func Identify(pid int) (Record, error) {
	start, err := startTime(pid)
	if err != nil {
		return Record{}, fmt.Errorf("identifying process %d: %w", pid, err)
	}
	boot, err := bootID()
	if err != nil {
		return Record{}, err
	}
	return Record{PID: pid, Start: start, Boot: boot}, nil
}

var bootID = sync.OnceValues(func() (string, error) {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data)), err
})

// startTime reads field 22 of /proc/<pid>/stat. The second field, the program's name, may have
// spaces and brackets, so fields are counted after it.
func startTime(pid int) (uint64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) < 20 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields behind the name", pid, len(fields))
	}
	return strconv.ParseUint(string(fields[19]), 10, 64)
}

// Alive reports whether the process still runs; a zombie does not.
func (r Record) Alive() bool {
	fd, err := r.PIDFD()
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return !exited(fd)
}

// Signal sends a signal to the process, or returns ErrGone.
func (r Record) Signal(sig syscall.Signal) error {
	fd, err := r.PIDFD()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	err = unix.PidfdSendSignal(fd, sig, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return ErrGone
	}
	return err
}

// Wait returns once the process has ended; it need not be our child.
func (r Record) Wait(ctx context.Context) error {
	fd, err := r.PIDFD()
	if errors.Is(err, ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), "pidfd")
	defer file.Close()
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { file.SetReadDeadline(time.Unix(1, 0)) }) //nolint:errcheck // fails only on a closed file, and then nothing waits
	defer stop()
	err = conn.Read(func(fd uintptr) bool { return exited(int(fd)) })
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("waiting for the end of process %d: %w", r.PID, context.Cause(ctx))
	}
	return err
}

// Stop asks the process to exit, waits for at most the grace, and then kills it.
func (r Record) Stop(ctx context.Context, grace time.Duration) error {
	if err := r.Signal(syscall.SIGTERM); err != nil {
		return ignoreGone(err)
	}
	patience, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if r.Wait(patience) == nil {
		return nil
	}
	return r.Kill(ctx)
}

// Kill kills the process and waits until it has gone.
func (r Record) Kill(ctx context.Context) error {
	if err := r.Signal(syscall.SIGKILL); err != nil {
		return ignoreGone(err)
	}
	return r.Wait(ctx)
}

func ignoreGone(err error) error {
	if errors.Is(err, ErrGone) {
		return nil
	}
	return err
}

// PIDFD returns a pidfd that is verified to be the recorded process, or ErrGone. It is verified
// after opening: from then on the PID cannot be reused.
func (r Record) PIDFD() (int, error) {
	boot, err := bootID()
	if err != nil {
		return -1, err
	}
	if r.PID <= 0 || boot != r.Boot {
		return -1, ErrGone
	}
	fd, err := unix.PidfdOpen(r.PID, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) {
		return -1, ErrGone
	}
	if err != nil {
		return -1, fmt.Errorf("opening process %d: %w", r.PID, err)
	}
	start, err := startTime(r.PID)
	if err != nil || start != r.Start {
		unix.Close(fd)
		return -1, ErrGone
	}
	return fd, nil
}

// exited reports whether a pidfd's process has ended: only then is it readable.
func exited(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n == 1
}

// Save writes the record to a file, atomically.
func (r Record) Save(file string) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	temp := file + ".new"
	if err := os.WriteFile(temp, data, 0o644); err != nil {
		return err
	}
	return os.Rename(temp, file)
}

// Load reads a record. A missing file is ErrGone.
func Load(file string) (Record, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return Record{}, ErrGone
	}
	if err != nil {
		return Record{}, err
	}
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return Record{}, fmt.Errorf("reading %s: %w", filepath.Base(file), err)
	}
	return r, nil
}
