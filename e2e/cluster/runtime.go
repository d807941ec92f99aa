package cluster

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"spidernet.io/spiderpool/e2e/cluster/image"
	"spidernet.io/spiderpool/e2e/cluster/process"
)

const (
	containerdSocket = "/run/containerd/containerd.sock"
	containerdConfig = "/etc/containerd.toml"
	importedImage    = "/tmp/image.tar"
)

// runtimeConfig is containerd's. Where a process may not lower its oom_score_adj (a container
// without CAP_SYS_RESOURCE), containerd cannot do so for pods either; with restrict_oom_score_adj
// it does not try.
const runtimeConfig = `version = 3

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = '` + image.PauseName + `'

[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true

[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ['` + cniBinDir + `']
  conf_dir = '` + cniConfDir + `'
  use_internal_loopback = true

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  BinaryName = '` + runcBin + `/runc'
  SystemdCgroup = false
`

// containerd returns how the node's container runtime is started.
func (n *Node) containerd() process.Spec {
	return n.spec("containerd", containerdBin, "--config", containerdConfig, "--log-level", "info")
}

// awaitRuntime waits until containerd accepts connections.
func (n *Node) awaitRuntime(ctx context.Context) error {
	return await(ctx, "containerd on "+n.Name, func(ctx context.Context) error {
		if err := n.Containerd.Check(); err != nil {
			return hopeless{err}
		}
		return n.Machine.Inside(func() error {
			conn, err := (&net.Dialer{}).DialContext(ctx, "unix", containerdSocket)
			if err != nil {
				return err
			}
			return conn.Close()
		})
	})
}

// LoadImage imports an image tarball of this computer.
func (n *Node) LoadImage(ctx context.Context, tarball string) error {
	inside := filepath.Join(n.Root(), importedImage)
	if err := copyFile(tarball, inside, 0o644); err != nil {
		return fmt.Errorf("loading image %s on node %q: %w", tarball, n.Name, err)
	}
	defer os.Remove(inside) // gone with the next boot at the latest
	_, err := n.Ctr(ctx, "images", "import", importedImage)
	return err
}

// Ctr runs containerd's own client in Kubernetes' namespace, and returns its output.
func (n *Node) Ctr(ctx context.Context, args ...string) (string, error) {
	args = append([]string{"--address", containerdSocket, "--namespace", "k8s.io"}, args...)
	out, err := n.Machine.Output(ctx, containerdBin+"/ctr", args...)
	return string(out), err
}
