package cluster

import (
	"fmt"
	"path/filepath"

	"spidernet.io/spiderpool/e2e/cluster/machine"
	"spidernet.io/spiderpool/e2e/cluster/process"
)

// Open returns a cluster that another process made. It builds nothing.
func Open(name string) (*Cluster, error) {
	p, err := placeOf(name)
	if err != nil {
		return nil, err
	}
	c, err := open(name, p)
	if err != nil {
		return nil, fmt.Errorf("cluster %q is not up: %w", p.id, err)
	}
	if !c.alive() {
		return nil, fmt.Errorf("cluster %q is not up: its control plane's machine is gone", p.id)
	}
	return c, nil
}

func open(name string, p place) (*Cluster, error) {
	options, err := loadOptions(name, p.options())
	if err != nil {
		return nil, err
	}
	c := &Cluster{options: options, place: p, Kubeconfig: p.kubeconfig()}
	if c.tools, err = builtTools(p); err != nil {
		return nil, err
	}
	if c.Control, err = machine.Attach(p.control()); err != nil {
		return nil, err
	}
	if c.Config, err = loadConfig(c.Kubeconfig); err != nil {
		return nil, err
	}
	if err := c.attachControlPlane(); err != nil {
		return nil, err
	}
	for i := range options.Nodes {
		node := newNode(c, i)
		if err := node.attach(); err != nil {
			return nil, fmt.Errorf("node %q: %w", node.Name, err)
		}
		c.Nodes = append(c.Nodes, node)
	}
	return c, nil
}

func (c *Cluster) attachControlPlane() (err error) {
	p := c.plane()
	c.ControlPlane = &ControlPlane{Config: c.Config, Kubeconfig: c.Kubeconfig}
	for program, spec := range map[**process.Process]process.Spec{
		&c.ControlPlane.Etcd:              p.etcd(),
		&c.ControlPlane.APIServer:         p.apiServer(),
		&c.ControlPlane.ControllerManager: p.controllerManager(),
		&c.ControlPlane.Scheduler:         p.scheduler(),
	} {
		if *program, err = process.Attach(c.Control.Place, spec); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) alive() bool { return c.Control.Alive() }

// builtTools returns the programs of a running cluster: as they were when it was made, even if the
// work tree has changed since.
func builtTools(p place) (tools, error) {
	node, err := machine.Attach(filepath.Join(p.disk, nodeName(0)))
	if err != nil {
		return tools{}, err
	}
	t := tools{machine: filepath.Join(p.disk, "machine")}
	for _, m := range node.Spec.Mounts {
		switch m.Target {
		case kubernetesBin:
			t.kubernetes = m.Source
		case containerdBin:
			t.containerd = m.Source
		case runcBin:
			t.runc = m.Source
		}
	}
	return t, nil
}
