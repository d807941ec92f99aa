package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"regexp"

	"spidernet.io/spiderpool/e2e/cluster/component"
)

// disks is the folder of the clusters' own files. It is not the work tree: the paths of Unix
// sockets below are limited to 108 bytes, and the work tree may be on a file system that containers
// cannot use.
const disks = "/var/lib/spiderpool-e2e"

// place says where the files of one cluster are. It is a function of the work tree and the
// cluster's name, so that any process can find them.
type place struct {
	id    string // unique among the clusters on this computer
	state string // for the user: kubeconfig, logs, bin
	disk  string
}

var namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$`)

// placeOf returns where the cluster of a name is; the empty name is the default cluster.
func placeOf(name string) (place, error) {
	folder, label := ".cluster", "default"
	if name != "" {
		if !namePattern.MatchString(name) {
			return place{}, fmt.Errorf("cluster name %q: want up to 20 lower-case letters, digits and inner dashes", name)
		}
		folder, label = ".cluster-"+name, name
	}
	tree, err := component.Tree()
	if err != nil {
		return place{}, err
	}
	state := filepath.Join(tree, folder)
	sum := sha256.Sum256([]byte(state))
	id := label + "-" + hex.EncodeToString(sum[:4])
	return place{id: id, state: state, disk: filepath.Join(disks, id)}, nil
}

// cgroup is the parent of all nodes' cgroups.
func (p place) cgroup() string { return "/spiderpool-e2e-" + p.id }

func (p place) keys() identities   { return identities{filepath.Join(p.disk, "keys")} }
func (p place) control() string    { return filepath.Join(p.disk, "control-plane") }
func (p place) options() string    { return filepath.Join(p.disk, "options.json") }
func (p place) kubeconfig() string { return filepath.Join(p.state, "kubeconfig") }
func (p place) logs() string       { return filepath.Join(p.state, "logs") }
func (p place) bin() string        { return filepath.Join(p.state, "bin") }

// lock is outside the rest of the state folder, which Down empties.
func (p place) lock() string { return filepath.Join(p.state, "lock") }
