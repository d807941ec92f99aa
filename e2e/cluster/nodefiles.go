package cluster

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"spidernet.io/spiderpool/e2e/cluster/machine"
)

// Paths as a node sees them: the same as on any node.
const (
	cniConfDir    = "/etc/cni/net.d"
	cniBinDir     = "/opt/cni/bin"
	kubernetesDir = "/etc/kubernetes"
	staticPodDir  = kubernetesDir + "/manifests"

	// Where this cluster's programs are on a node.
	kubernetesBin = "/opt/node/kubernetes"
	containerdBin = "/opt/node/containerd"
	runcBin       = "/opt/node/runc"

	nodePath = kubernetesBin + ":" + containerdBin + ":" + runcBin + ":" + machine.SystemPath
)

// What a node sees of this computer: its programs, and the parts of /etc that those need.
var (
	programFolders = []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32"} // in addition to usr
	systemFiles    = []string{"passwd", "group", "nsswitch.conf", "ld.so.cache", "ld.so.conf", "protocols", "services"}
)

// prepare fills the node's disk. It is called once; the disk outlives boots.
func (n *Node) prepare(keys *issuer) error {
	for _, dir := range []string{
		"dev", "proc", "sys", "tmp", "root", "usr", "etc", "var/lib", "var/log", "run",
		cniConfDir, cniBinDir, staticPodDir, kubernetesBin, containerdBin, runcBin,
	} {
		if err := os.MkdirAll(filepath.Join(n.Root(), dir), 0o755); err != nil {
			return err
		}
	}
	if err := os.Symlink("/run", filepath.Join(n.Root(), "var/run")); err != nil {
		return err
	}
	for _, step := range []func() error{n.linkPrograms, n.fillEtc, n.installNetwork} {
		if err := step(); err != nil {
			return err
		}
	}
	return n.prepareKubernetes(keys)
}

// linkPrograms copies this computer's /bin, /lib and so on where they are links into /usr. Real
// folders are mounted; see machineSpec.
func (n *Node) linkPrograms() error {
	for _, name := range programFolders {
		to, err := os.Readlink("/" + name)
		switch {
		case err == nil:
			err = os.Symlink(to, filepath.Join(n.Root(), name))
		case errors.Is(err, fs.ErrNotExist):
			err = nil
		default: // a folder
			err = os.Mkdir(filepath.Join(n.Root(), name), 0o755)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) fillEtc() error {
	etc := filepath.Join(n.Root(), "etc")
	for _, name := range systemFiles {
		err := copyFile(filepath.Join("/etc", name), filepath.Join(etc, name), 0o644)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	id := make([]byte, 16)
	rand.Read(id) // does not fail
	for name, text := range map[string]string{
		"machine-id":  hex.EncodeToString(id) + "\n",
		"hostname":    n.Name + "\n",
		"hosts":       fmt.Sprintf("127.0.0.1 localhost\n::1 localhost\n%s %s\n%s %s\n", n.IPv4, n.Name, n.IPv6, n.Name),
		"resolv.conf": "# this cluster has no name server\n",
	} {
		if err := os.WriteFile(filepath.Join(etc, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// machineSpec returns the node's machine and its mounts.
func (n *Node) machineSpec() machine.Spec {
	tools := n.cluster.tools
	spec := machine.Spec{Name: n.Name, Dir: n.dir(), Root: n.Root(), Mounts: []machine.Mount{
		{Source: "/usr", Target: "usr"},
		{Source: tools.kubernetes, Target: kubernetesBin},
		{Source: tools.containerd, Target: containerdBin},
		{Source: tools.runc, Target: runcBin},
	}}
	for _, name := range programFolders {
		if info, err := os.Lstat("/" + name); err == nil && info.IsDir() {
			spec.Mounts = append(spec.Mounts, machine.Mount{Source: "/" + name, Target: name})
		}
	}
	return spec
}

// clearRun empties the folders that do not survive a reboot on a real computer.
func (n *Node) clearRun() error {
	for _, name := range []string{"run", "tmp"} {
		dir := filepath.Join(n.Root(), name)
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	return os.Chmod(filepath.Join(n.Root(), "tmp"), fs.ModeSticky|0o777)
}
