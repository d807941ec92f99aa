package cluster_test

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"spidernet.io/spiderpool/e2e/cluster"
)

// traces is what can be seen of clusters from outside.
type traces struct {
	Addresses []string // of the underlay, on this computer's own interfaces
	Mounts    []string
	Cgroups   []string
	Disks     []string
	Processes []string
}

// lookFor collects the traces of the cluster of a name.
func lookFor(t *testing.T, name string) traces {
	t.Helper()
	return traces{
		Addresses: underlayAddresses(t),
		Mounts:    grep(t, "/proc/self/mountinfo", "spiderpool-e2e/"+name+"-"),
		Cgroups:   glob(t, "/sys/fs/cgroup/*/spiderpool-e2e-"+name+"-*", "/sys/fs/cgroup/spiderpool-e2e-"+name+"-*"),
		Disks:     glob(t, "/var/lib/spiderpool-e2e/"+name+"-*"),
		Processes: processesOf(t, "spiderpool-e2e/"+name+"-"),
	}
}

func underlayAddresses(t *testing.T) []string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, a := range all {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && (cluster.UnderlayIPv4.Contains(p.Addr()) || cluster.UnderlayIPv6.Contains(p.Addr())) {
			found = append(found, a.String())
		}
	}
	return found
}

func grep(t *testing.T, file, text string) []string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

func glob(t *testing.T, patterns ...string) []string {
	t.Helper()
	var found []string
	for _, p := range patterns {
		names, err := filepath.Glob(p)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, names...)
	}
	return found
}

// processesOf finds processes by their arguments, their program, their root and their cgroup: a
// container shows the cluster's name in one of those.
func processesOf(t *testing.T, text string) []string {
	t.Helper()
	var found []string
	dashed := strings.Replace(text, "/", "-", 1)
	for _, dir := range glob(t, "/proc/[0-9]*") {
		args, _ := os.ReadFile(dir + "/cmdline")  // it may have ended meanwhile
		groups, _ := os.ReadFile(dir + "/cgroup") // the same
		root, _ := os.Readlink(dir + "/root")     // the same
		stat, _ := os.ReadFile(dir + "/stat")     // the same
		zombie := bytes.Contains(stat, []byte(") Z "))
		if !zombie && (bytes.Contains(args, []byte(text)) || strings.Contains(root, text) || bytes.Contains(groups, []byte(dashed))) {
			found = append(found, filepath.Base(dir)+" "+strings.ReplaceAll(string(args), "\x00", " "))
		}
	}
	return found
}

// inMachines returns the processes of all machines of a cluster.
func inMachines(t *testing.T, pids ...int) []string {
	t.Helper()
	var namespaces []string
	for _, pid := range pids {
		ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid))
		if err != nil {
			t.Fatal(err)
		}
		namespaces = append(namespaces, ns)
	}
	var found []string
	for _, dir := range glob(t, "/proc/[0-9]*") {
		if ns, err := os.Readlink(dir + "/ns/pid"); err == nil && slices.Contains(namespaces, ns) {
			found = append(found, filepath.Base(dir))
		}
	}
	return found
}
