// Command machine is the first process of a machine; see package machine. It is
// born in the machine's namespaces, sets up what the machine sees, says that it
// is ready, and then only buries the dead and leads connections from its door.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"spidernet.io/spiderpool/e2e/cluster/machine"
	"spidernet.io/spiderpool/e2e/cluster/process"
)

func main() {
	os.Exit(run())
}

func run() int {
	ready := os.NewFile(machine.ReadyFD, "ready")
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: machine <spec file>; started by package machine only")
		return 2
	}
	// From here on children may end; being the first process, we bury them.
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)
	if err := boot(os.Args[1]); err != nil {
		log.Print(err)
		fmt.Fprintln(ready, err)
		return 1
	}
	if _, err := fmt.Fprintln(ready, machine.Ready); err != nil {
		log.Printf("nobody waits for this machine any more: %v", err)
		return 1
	}
	ready.Close()
	for range children {
		bury()
	}
	return 0
}

func boot(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var spec machine.Spec
	if err := json.Unmarshal(data, &spec); err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	if err := saveRecord(spec); err != nil {
		return err
	}
	if spec.Upstream != "" {
		if err := openDoor(spec.Upstream); err != nil {
			return err
		}
	}
	if err := mountAll(spec); err != nil {
		return err
	}
	return unix.Sethostname([]byte(spec.Name))
}

// saveRecord writes which process this is, as seen from outside: /proc is still
// that of the process namespace outside.
func saveRecord(spec machine.Spec) error {
	link, err := os.Readlink("/proc/self")
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(filepath.Base(link))
	if err != nil {
		return err
	}
	record, err := process.Identify(pid)
	if err != nil {
		return err
	}
	return record.Save(spec.RecordFile())
}

// bury reaps all children that have ended. One signal may stand for several.
func bury() {
	for {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
	}
}
