package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"regexp"

	"spidernet.io/spiderpool/e2e/cluster/component"
)

// disks is where clusters keep what is theirs alone. Not the work tree: the
// paths of Unix sockets below are limited to 108 bytes, and the work tree may
// lie on a file system that containers cannot use.
const disks = "/var/lib/spiderpool-e2e"

// place says where the files of one cluster are. It is a function of the work
// tree and the cluster's name, so that anybody can find them.
type place struct {
	id    string // no other cluster on this computer has it
	state string // for people: kubeconfig, logs, bin
	disk  string
}

var namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,18}[a-z0-9])?$`)

// placeOf returns where the cluster of a name is; the empty name is the cluster
// that people get when they give none.
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

// cgroup is below which all nodes' pods are limited.
func (p place) cgroup() string { return "/spiderpool-e2e-" + p.id }

func (p place) keys() identities   { return identities{filepath.Join(p.disk, "keys")} }
func (p place) control() string    { return filepath.Join(p.disk, "control-plane") }
func (p place) options() string    { return filepath.Join(p.disk, "options.json") }
func (p place) kubeconfig() string { return filepath.Join(p.state, "kubeconfig") }
func (p place) logs() string       { return filepath.Join(p.state, "logs") }
func (p place) bin() string        { return filepath.Join(p.state, "bin") }

// lock is beside the state folder's content because Down empties that.
func (p place) lock() string { return filepath.Join(p.state, "lock") }
