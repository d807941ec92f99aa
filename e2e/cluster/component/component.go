package component

import (
	"fmt"
	"slices"
	"strings"
)

// component is one third-party module and the programs built from it.
type component struct {
	name     string   // the folder of its module here
	module   string   // the module whose version names the build
	packages []string // what to build; each program is named after the last path element
	links    []string // further names of the first program, which behaves according to its name
	tags     string
	cgo      bool
	headers  bool                          // needs libseccomp's headers and a C compiler
	ldflags  func(version string) []string // in addition to the common ones; may be nil
	takes    string                        // how long the first build takes, for messages
}

// programs returns all names in the component's bin folder.
func (c component) programs() []string {
	names := slices.Clone(c.links)
	for _, p := range c.packages {
		if p == "." {
			p = c.name
		}
		names = append(names, p[strings.LastIndexByte(p, '/')+1:])
	}
	return names
}

var components = []component{
	{
		name:     "kubernetes",
		module:   "k8s.io/kubernetes",
		packages: []string{"."},
		links: []string{
			"etcd", "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet",
		},
		ldflags: stampKubernetes,
		takes:   "about 7 minutes",
	},
	{
		name:   "containerd",
		module: "github.com/containerd/containerd/v2",
		packages: []string{
			"github.com/containerd/containerd/v2/cmd/containerd",
			"github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
			"github.com/containerd/containerd/v2/cmd/ctr",
		},
		ldflags: func(version string) []string {
			return []string{"-X", "github.com/containerd/containerd/v2/version.Version=" + version}
		},
		takes: "about 2 minutes",
	},
	{
		name:     "runc",
		module:   "github.com/opencontainers/runc",
		packages: []string{"github.com/opencontainers/runc"},
		tags:     "seccomp", // without it no pod starts: every one has a seccomp profile
		cgo:      true,
		headers:  true,
		takes:    "about a minute",
	},
	{
		name:   "cni",
		module: "github.com/containernetworking/plugins",
		packages: []string{
			"github.com/containernetworking/cni/cnitool",
			"github.com/containernetworking/plugins/plugins/ipam/host-local",
			"github.com/containernetworking/plugins/plugins/main/bridge",
			"github.com/containernetworking/plugins/plugins/main/loopback",
			"github.com/containernetworking/plugins/plugins/main/macvlan",
		},
		takes: "half a minute",
	},
	{
		name:     "helm",
		module:   "helm.sh/helm/v3",
		packages: []string{"helm.sh/helm/v3/cmd/helm"},
		ldflags: func(version string) []string {
			// Without the last two it renders for Kubernetes 1.20.
			return []string{
				"-X", "helm.sh/helm/v3/internal/version.version=" + version,
				"-X", "helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1",
				"-X", "helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=37",
			}
		},
		takes: "about 2 minutes",
	},
}

// stampKubernetes sets the version that the API server announces; without it clients and the
// kubelet refuse to work with "v0.0.0".
func stampKubernetes(version string) []string {
	const pkg = "k8s.io/component-base/version."
	major, rest, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	minor, _, _ := strings.Cut(rest, ".")
	return []string{
		"-X", pkg + "gitVersion=" + version,
		"-X", pkg + "gitMajor=" + major,
		"-X", pkg + "gitMinor=" + minor,
		"-X", pkg + "gitTreeState=clean",
	}
}

// Components returns the names of all components, in the order to build them.
func Components() []string {
	names := make([]string, 0, len(components))
	for _, c := range components {
		names = append(names, c.name)
	}
	return names
}

func byName(name string) (component, error) {
	for _, c := range components {
		if c.name == name {
			return c, nil
		}
	}
	return component{}, fmt.Errorf("no component %q: there are %s", name, strings.Join(Components(), ", "))
}

func byProgram(program string) (component, error) {
	var all []string
	for _, c := range components {
		programs := c.programs()
		if slices.Contains(programs, program) {
			return c, nil
		}
		all = append(all, programs...)
	}
	slices.Sort(all)
	return component{}, fmt.Errorf("no component builds program %q: there are %s", program, strings.Join(all, ", "))
}
