// Command machine is the first process of a machine; see package machine. It is started in the
// machine's namespaces, sets up its mounts and network, reports that it is ready, and then only
// reaps children and forwards connections from its door. It also starts the machine's other
// processes; see machine.Place.
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
	var err error
	switch {
	case len(os.Args) == 2:
		return first(os.Args[1])
	case len(os.Args) > 2 && os.Args[1] == machine.SpawnWord:
		err = spawn(os.Args[2:])
	case len(os.Args) > 2 && os.Args[1] == machine.BecomeWord:
		err = become(os.Args[2:])
	default:
		err = errors.New("started by package machine only")
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "machine: %v\n", err)
		return 1
	}
	return 0
}

// first runs a machine's first process. It never exits by itself.
func first(spec string) int {
	ready := os.NewFile(machine.ReadyFD, "ready")
	// From here on children may exit; as the first process we have to reap them.
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)
	if err := boot(spec); err != nil {
		log.Print(err)
		fmt.Fprintln(ready, err)
		return 1
	}
	if _, err := fmt.Fprintln(ready, machine.Ready); err != nil {
		log.Printf("the process that started this machine is gone: %v", err)
		return 1
	}
	ready.Close()
	for range children {
		reap()
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

// saveRecord writes which process this is, as seen from outside: /proc still shows the process
// namespace outside.
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

// reap reaps all children that have ended. One signal may mean several.
func reap() {
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
