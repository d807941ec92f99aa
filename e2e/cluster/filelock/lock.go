package filelock

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Take takes a lock that the kernel releases when its holder dies. It calls waiting once if another
// process has it.
func Take(ctx context.Context, path string, waiting func()) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	release := func() { file.Close() }
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return release, nil
	}
	if !errors.Is(err, unix.EWOULDBLOCK) {
		release()
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	waiting()
	got := make(chan error, 1)
	go func() { got <- flockBlocking(int(file.Fd())) }()
	select {
	case err = <-got:
		if err != nil {
			release()
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		return release, nil
	case <-ctx.Done():
		go func() { // the call cannot be cancelled; the lock is released once it is acquired
			if <-got == nil {
				release()
			}
		}()
		return nil, fmt.Errorf("waiting for the lock %s: %w", path, context.Cause(ctx))
	}
}

func flockBlocking(fd int) error {
	for {
		err := unix.Flock(fd, unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
