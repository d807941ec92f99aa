package cni

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"

	"spidernet.io/spiderpool/cni/lookup"
)

// PluginName is the value of "type" in the ipam section, and the name of the binary.
const PluginName = "spiderpool"

// CodeCheckFailed is an error code of the plugin's own: CHECK found an interface without its
// assigned address.
const CodeCheckFailed uint = 101

var versions = version.PluginSupports("0.3.1", "0.4.0", "1.0.0", "1.1.0")

// Main runs the command that CNI_COMMAND names and returns the exit code.
func Main() int {
	if command := os.Getenv("CNI_COMMAND"); command == "DEL" || command == "GC" {
		// Not by skel, which fails on an invalid environment, configuration or namespace. Standard
		// input is read to its end, so that the runtime's write succeeds.
		_, _ = io.Copy(io.Discard, os.Stdin)
		return 0
	}
	p := &plugin{stdout: os.Stdout}
	err := recovered(func() *types.Error {
		return skel.PluginMainFuncsWithError(skel.CNIFuncs{Add: p.add, Check: p.check, Status: p.status}, versions,
			PluginName+" is a CNI IPAM plugin; container runtimes start it, with CNI_COMMAND set")
	})
	if err == nil {
		return 0
	}
	// Not err.Print, which leaves out the version that the specification requires in errors too.
	answer := struct {
		CNIVersion string `json:"cniVersion"`
		*types.Error
	}{version.Current(), err}
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		fmt.Fprintf(os.Stderr, "%s: writing the answer: %v\n", PluginName, err)
	}
	return 1
}

// recovered turns a panic into a protocol error: a runtime cannot parse what Go prints.
func recovered(run func() *types.Error) (err *types.Error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fail(types.ErrInternal, "this is a mistake in the plugin, please report it", "panic: %v", cause)
		}
	}()
	return run()
}

// fail returns an error; details come first, since the arguments of format come last.
func fail(code uint, details, format string, args ...any) *types.Error {
	return types.NewError(code, fmt.Sprintf(format, args...), details)
}

// plugin runs the commands. It holds no state: a runtime starts one process per command.
type plugin struct{ stdout io.Writer }

// add implements ADD: it prints the result for the NIC's annotation.
func (p *plugin) add(args *skel.CmdArgs) error {
	return logged("ADD", args, func(conf *NetConf, pod lookup.Pod) (*Assignment, error) {
		assignment, err := assignmentOf(conf, args.IfName, pod)
		if err != nil {
			return nil, err
		}
		result, err := assignment.Result(conf.IPAM.CleanGateway).GetAsVersion(conf.CNIVersion)
		if err == nil {
			err = result.PrintTo(p.stdout)
		}
		if err != nil {
			return nil, fail(types.ErrIOFailure, "", "writing the result: %v", err)
		}
		return assignment, nil
	})
}

// check implements CHECK: the interface still has the addresses of the annotation. Gateways and
// routes are not compared, since later plugins in the chain may have changed them.
func (p *plugin) check(args *skel.CmdArgs) error {
	return logged("CHECK", args, func(conf *NetConf, pod lookup.Pod) (*Assignment, error) {
		previous, err := conf.previousAddresses()
		if err != nil || conf.RuntimeConfig.Annotations == nil {
			return &Assignment{}, err
		}
		assignment, err := assignmentOf(conf, args.IfName, pod)
		if err != nil {
			return nil, err
		}
		for _, family := range assignment.Families {
			if !slices.Contains(previous, family.Address.String()) {
				return nil, fail(CodeCheckFailed, "the pod's annotation has changed since its sandbox was made: delete the pod",
					"NIC %s has not address %s of pool %q", args.IfName, family.Address, family.Pool)
			}
		}
		return assignment, nil
	})
}

// status implements STATUS: whether an ADD could be served. Runtimes remove the capabilities from
// what they pass on, so a missing declaration cannot be seen here.
func (p *plugin) status(args *skel.CmdArgs) error {
	conf, err := ParseNetConf(args.StdinData)
	if err != nil || conf.IPAM.Kubeconfig == "" {
		return err
	}
	if _, err := lookup.Load(conf.IPAM.Kubeconfig); err != nil {
		return fail(types.ErrPluginNotAvailable, "", "pods cannot be looked up: %v", err)
	}
	return nil
}

// assignmentOf reads the pod's annotation, from the runtime or the API server.
func assignmentOf(conf *NetConf, ifName string, pod lookup.Pod) (*Assignment, error) {
	var annotations map[string]string // annotation key -> value
	switch passed := conf.RuntimeConfig.Annotations; {
	case passed != nil:
		if err := json.Unmarshal(passed, &annotations); err != nil {
			return nil, fail(types.ErrDecodingFailure, "", "runtimeConfig: pod annotations: %v", err)
		}
	case conf.IPAM.Kubeconfig == "":
		return nil, fail(types.ErrInvalidNetworkConfig,
			`add "capabilities": {"io.kubernetes.cri.pod-annotations": true} to the main plugin's entry `+
				`(containerd 1.5, CRI-O 1.29 or newer), or name in ipam.kubeconfig the file that the installer writes`,
			"pod %s: the runtime passed no pod annotations", pod)
	default:
		client, err := lookup.Load(conf.IPAM.Kubeconfig)
		if err == nil {
			annotations, err = client.Annotations(context.Background(), pod)
		}
		if err != nil {
			return nil, err
		}
	}
	return FindAssignment(annotations, ifName, pod)
}

// logged reads the configuration and CNI_ARGS, calls run, and logs the outcome if a log is
// configured.
func logged(command string, args *skel.CmdArgs, run func(*NetConf, lookup.Pod) (*Assignment, error)) error {
	conf, err := ParseNetConf(args.StdinData)
	if err != nil {
		return err
	}
	pod, err := ParseArgs(args.Args)
	var assignment *Assignment
	if err == nil {
		assignment, err = run(conf, pod)
	}
	pairs := []any{"command", command, "pod", pod, "nic", args.IfName, "container", args.ContainerID}
	if ignored := conf.IPAM.Ignored; len(ignored) > 0 {
		pairs = append(pairs, "ignored_keys", ignored)
	}
	if err != nil {
		level := levelError
		if refusal := (*types.Error)(nil); errors.As(err, &refusal) && refusal.Code == types.ErrTryAgainLater {
			level = levelWarn
		}
		appendLog(conf.IPAM, level, "refused", append(pairs, "error", err)...)
		return err
	}
	pairs = append(pairs, "vlan", assignment.Vlan, "annotations_passed", conf.RuntimeConfig.Annotations != nil)
	for _, family := range assignment.Families {
		pairs = append(pairs, "address", family.Address, "pool", family.Pool)
	}
	appendLog(conf.IPAM, levelInfo, "answered", pairs...)
	return nil
}
