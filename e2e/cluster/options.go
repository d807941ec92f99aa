package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"spidernet.io/spiderpool/e2e/cluster/component"
	"spidernet.io/spiderpool/e2e/cluster/image"
	"spidernet.io/spiderpool/e2e/cluster/syspkg"
)

// Options are the options of a cluster.
type Options struct {
	// Name allows several clusters of the same work tree; empty for the one in .cluster.
	Name string
	// Nodes is the number of nodes; 2 if zero, at most 200.
	Nodes int
	// APIServerFlags are added to the API server's own, and win over them.
	APIServerFlags []string
	// ControllerManagerFlags are the same for the controller manager.
	ControllerManagerFlags []string
	// Plugins are CNI plugins that every node has from the start, in addition to the reference
	// plugins. A node is Ready once all plugins that its network configuration names are installed
	// and report no problem.
	Plugins []string
	// Network returns a node's CNI configuration; SpiderpoolNetwork if nil.
	Network func(*Node) ([]byte, error)
	// Out gets progress messages; standard error if nil.
	Out io.Writer
}

func (o *Options) setDefaults() error {
	if o.Nodes == 0 {
		o.Nodes = 2
	}
	if o.Nodes < 0 || o.Nodes > 200 {
		return fmt.Errorf("%d nodes: want 1 to 200", o.Nodes)
	}
	if o.Network == nil {
		o.Network = SpiderpoolNetwork
	}
	if o.Out == nil {
		o.Out = os.Stderr
	}
	return nil
}

// kept is the part of the options that another process needs to open the cluster.
type kept struct {
	Nodes                  int      `json:"nodes"`
	APIServerFlags         []string `json:"apiServerFlags"`
	ControllerManagerFlags []string `json:"controllerManagerFlags"`
}

func (o Options) save(file string) error {
	data, err := json.Marshal(kept{o.Nodes, o.APIServerFlags, o.ControllerManagerFlags})
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o644)
}

func loadOptions(name, file string) (Options, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Options{}, err
	}
	var k kept
	if err := json.Unmarshal(data, &k); err != nil {
		return Options{}, fmt.Errorf("reading %s: %w", file, err)
	}
	o := Options{Name: name, Nodes: k.Nodes, APIServerFlags: k.APIServerFlags, ControllerManagerFlags: k.ControllerManagerFlags}
	return o, o.setDefaults()
}

// SpiderpoolNetwork is the network that this repository is about: macvlan on the node's eth0, with
// addresses by Spiderpool. With version 1.1.0 the runtime asks the plugins for their status, so a
// node is not Ready before spiderpool is installed.
func SpiderpoolNetwork(*Node) ([]byte, error) {
	return MacvlanNetwork(map[string]any{"type": "spiderpool"})
}

// MacvlanNetwork is a macvlan network on eth0 with any IPAM.
func MacvlanNetwork(ipam map[string]any) ([]byte, error) {
	return json.MarshalIndent(map[string]any{
		"cniVersion": "1.1.0",
		"name":       "underlay",
		"plugins": []any{map[string]any{
			"type":         "macvlan",
			"master":       nodeNIC,
			"mode":         "bridge",
			"capabilities": map[string]any{"io.kubernetes.cri.pod-annotations": true},
			"ipam":         ipam,
		}},
	}, "", "  ")
}

// tools are the programs and images of a cluster.
type tools struct {
	kubernetes, containerd, runc, cni string // folders of programs
	helm                              string // a program
	machine                           string // a program
	pause, busybox                    string // image tarballs
}

// Build builds everything that a cluster needs, and installs system packages, so that Up has
// nothing left to build.
func Build(ctx context.Context, out io.Writer) error {
	_, err := gatherTools(ctx, out, nil)
	return err
}

// gatherTools builds what is not in the cache. Programs of this repository are put into a folder of
// the caller; if that is nil, they are only built.
func gatherTools(ctx context.Context, out io.Writer, own *place) (tools, error) {
	if err := syspkg.Ensure(ctx, out, syspkg.CCompiler, syspkg.Seccomp, syspkg.Nftables, syspkg.Mount, syspkg.Busybox); err != nil {
		return tools{}, err
	}
	store, err := component.Default()
	if err != nil {
		return tools{}, err
	}
	store.Out = out
	var t tools
	var helm string
	for name, dir := range map[string]*string{
		"kubernetes": &t.kubernetes, "containerd": &t.containerd, "runc": &t.runc, "cni": &t.cni, "helm": &helm,
	} {
		if *dir, err = store.Dir(ctx, name); err != nil {
			return tools{}, err
		}
	}
	t.helm = filepath.Join(helm, "helm")
	if t.pause, err = image.Pause(ctx); err != nil {
		return tools{}, err
	}
	if t.busybox, err = image.Busybox(ctx, out); err != nil {
		return tools{}, err
	}
	if own == nil {
		return t, nil
	}
	t.machine, err = component.Own(ctx, "e2e/cluster/cmd/machine", own.disk)
	return t, err
}
