package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"

	"spidernet.io/spiderpool/e2e/cluster/machine"
	"spidernet.io/spiderpool/e2e/cluster/process"
)

// Node is a machine of the cluster that runs pods. Each of its processes can be paused, killed and
// restarted.
type Node struct {
	Name       string
	IPv4, IPv6 netip.Addr
	Machine    *machine.Machine
	Containerd *process.Process
	Kubelet    *process.Process
	KubeProxy  *process.Process

	index   int
	cluster *Cluster
}

// nodeName follows kind: worker, worker2, worker3…
func nodeName(index int) string {
	if index == 0 {
		return "spider-worker"
	}
	return "spider-worker" + strconv.Itoa(index+1)
}

func newNode(c *Cluster, index int) *Node {
	n := &Node{Name: nodeName(index), index: index, cluster: c}
	n.IPv4 = hostAddress(UnderlayIPv4, n.host()).Addr()
	n.IPv6 = hostAddress(UnderlayIPv6, n.host()).Addr()
	return n
}

// host is the last byte of the node's addresses; the gateway is 1.
func (n *Node) host() int { return n.index + 2 }

// port is the name of the bridge's end of the node's cable.
func (n *Node) port() string { return "port" + strconv.Itoa(n.index+1) }

func (n *Node) dir() string { return filepath.Join(n.cluster.place.disk, n.Name) }

// cgroup is the parent of the node's pods' cgroups.
func (n *Node) cgroup() string { return n.cluster.place.cgroup() + "/" + n.Name }

// systemCgroup is for everything on the node but its pods: so a node that starts many processes
// gets no more of the processors than one that starts few, and the control plane, which would have
// several cgroups, still gets its share.
func (n *Node) systemCgroup() string { return n.cgroup() + "/system" }

// Root is the folder that the node sees as its /.
func (n *Node) Root() string { return filepath.Join(n.dir(), "root") }

// CNIConfDir is the node's /etc/cni/net.d, seen from outside.
func (n *Node) CNIConfDir() string { return filepath.Join(n.Root(), cniConfDir) }

// CNIBinDir is the node's /opt/cni/bin, seen from outside.
func (n *Node) CNIBinDir() string { return filepath.Join(n.Root(), cniBinDir) }

// StaticPodDir is the node's /etc/kubernetes/manifests, seen from outside: its kubelet runs the
// pods in it without asking the API server.
func (n *Node) StaticPodDir() string { return filepath.Join(n.Root(), staticPodDir) }

// InstallPlugin installs a CNI plugin on the node, atomically.
func (n *Node) InstallPlugin(file string) error {
	if err := copyFile(file, filepath.Join(n.CNIBinDir(), filepath.Base(file)), 0o755); err != nil {
		return fmt.Errorf("installing CNI plugin on node %q: %w", n.Name, err)
	}
	return nil
}

// CutCable disconnects the node from the network: its programs only notice that nothing answers.
// MendCable connects it again.
func (n *Node) CutCable() error { return setCable(n.cluster.Control, n, false) }

// MendCable ends a CutCable.
func (n *Node) MendCable() error { return setCable(n.cluster.Control, n, true) }

// PullPlug ends everything on the node at once, like a power cut. Its disk stays; Boot starts it
// again.
func (n *Node) PullPlug(ctx context.Context) error {
	return errors.Join(n.Machine.Kill(ctx), unplug(n.cluster.Control, n), removeCgroup(ctx, n.cgroup()))
}

// Boot starts the node's machine and programs. It returns once images can be run; the API server
// sees the node a moment later.
func (n *Node) Boot(ctx context.Context) error {
	if err := n.boot(ctx); err != nil {
		return fmt.Errorf("booting node %q: %w", n.Name, err)
	}
	return nil
}

func (n *Node) boot(ctx context.Context) error {
	if err := n.bootRuntime(ctx); err != nil {
		return err
	}
	return n.bootKubernetes()
}

// bootRuntime starts the machine and its container runtime, which need no API server.
func (n *Node) bootRuntime(ctx context.Context) (err error) {
	if err := makeCgroup(n.cgroup()); err != nil {
		return err
	}
	if err := n.clearRun(); err != nil {
		return err
	}
	if n.Machine, err = machine.Start(ctx, n.cluster.tools.machine, n.machineSpec(), nil); err != nil {
		return err
	}
	if err := enterCgroup(n.systemCgroup(), n.Machine.PID()); err != nil {
		return err
	}
	if err := plug(n.cluster.Control, n); err != nil {
		return err
	}
	if n.Containerd, err = n.Machine.Start(n.containerd()); err != nil {
		return err
	}
	return n.awaitRuntime(ctx)
}

func (n *Node) bootKubernetes() (err error) {
	if n.Kubelet, err = n.Machine.Start(n.kubelet()); err != nil {
		return err
	}
	n.KubeProxy, err = n.Machine.Start(n.kubeProxy())
	return err
}

// attach finds what an earlier process started.
func (n *Node) attach() (err error) {
	if n.Machine, err = machine.Attach(n.dir()); err != nil {
		return err
	}
	for program, spec := range map[**process.Process]process.Spec{
		&n.Containerd: n.containerd(), &n.Kubelet: n.kubelet(), &n.KubeProxy: n.kubeProxy(),
	} {
		if *program, err = process.Attach(n.Machine.Place, spec); err != nil {
			return err
		}
	}
	return nil
}

// spec returns how one of the node's programs is started. Paths are the node's.
func (n *Node) spec(program, dir string, args ...string) process.Spec {
	return process.Spec{
		Name:    program + " on " + n.Name,
		Path:    filepath.Join(dir, program),
		Args:    args,
		Env:     []string{"PATH=" + nodePath, "HOME=/root"},
		Log:     filepath.Join(n.cluster.place.logs(), n.Name+"-"+program+".log"),
		Record:  filepath.Join(n.dir(), program+".record"),
		Survive: true,
	}
}

func copyFile(from, to string, mode os.FileMode) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	temp, err := os.CreateTemp(filepath.Dir(to), ".copying-")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // already renamed if all went well
	_, err = io.Copy(temp, source)
	if err := errors.Join(err, temp.Chmod(mode), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), to)
}
