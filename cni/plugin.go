package cni

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"time"

	"spidernet.io/spiderpool/cni/address"
	"spidernet.io/spiderpool/cni/message"
	"spidernet.io/spiderpool/cni/strictjson"
)

// Plugin answers the commands of the CNI specification. It holds no state: a
// runtime starts one process per command.
type Plugin struct {
	// Lookup reads pods where the runtime passes no annotations. It is asked
	// for only then.
	Lookup func() (Lookup, error)
	// Stdout takes the result.
	Stdout io.Writer
	// Now stamps the lines of the log.
	Now func() time.Time
}

// Run answers one call. What it returns is nil or a *Error.
func (p *Plugin) Run(call *Call) error {
	switch call.Command {
	case "ADD":
		return p.add(call)
	case "CHECK":
		return p.check(call)
	default: // newCall takes no others
		return p.status(call)
	}
}

// add answers ADD: the result that the NIC's annotation asks for.
func (p *Plugin) add(call *Call) error {
	return p.logged(call, func(conf *NetConf, pod PodRef) (*Assignment, error) {
		annotations, err := p.annotations(conf, pod)
		if err != nil {
			return nil, err
		}
		assignment, err := FindAssignment(annotations, call.IfName, pod)
		if err != nil {
			return nil, err
		}
		if _, err := p.Stdout.Write(assignment.Result(conf.CNIVersion, conf.IPAM.CleanGateway)); err != nil {
			return nil, fail(CodeIOFailure, "", "writing the result: %v", err)
		}
		return assignment, nil
	})
}

// check answers CHECK: the interface still has the addresses of the annotation.
// Gateways and routes are not compared, since later plugins in the chain may
// have changed them.
func (p *Plugin) check(call *Call) error {
	return p.logged(call, func(conf *NetConf, pod PodRef) (*Assignment, error) {
		previous, err := previousAddresses(conf.PrevResult)
		if err != nil {
			return nil, err
		}
		if !conf.AnnotationsPassed {
			return &Assignment{}, nil
		}
		assignment, err := FindAssignment(conf.Annotations, call.IfName, pod)
		if err != nil {
			return nil, err
		}
		return assignment, compare(assignment, previous)
	})
}

// status answers STATUS: whether an ADD could be served. Runtimes take the
// capabilities out of what they pass on, so a missing declaration cannot be
// seen here.
func (p *Plugin) status(call *Call) (err error) {
	defer recovered(&err)
	conf, err := p.configuration(call)
	if err != nil || conf.IPAM.Kubeconfig == "" {
		return err
	}
	lookup, err := p.Lookup()
	if err == nil {
		err = lookup.Check(context.Background(), conf.IPAM.Kubeconfig)
	}
	if err != nil {
		return fail(CodePluginNotAvailable, "", "pods cannot be looked up: %v", err)
	}
	return nil
}

// configuration reads what comes on standard input and makes sure of its
// version.
func (p *Plugin) configuration(call *Call) (*NetConf, error) {
	conf, err := ParseNetConf(call.Stdin)
	if err != nil {
		return nil, err
	}
	return conf, call.speaks(conf)
}

// annotations returns those of the pod, from the runtime where it passes them.
func (p *Plugin) annotations(conf *NetConf, pod PodRef) (map[string]string, error) {
	if conf.AnnotationsPassed {
		return conf.Annotations, nil
	}
	if conf.IPAM.Kubeconfig == "" {
		return nil, fail(CodeInvalidNetworkConfig,
			`add "capabilities": {"`+annotationsCapability+`": true} to the main plugin's entry (containerd 1.5, CRI-O 1.29 or newer), `+
				`or name in ipam.kubeconfig the file that the installer writes`,
			"pod %s: the runtime passed no pod annotations", pod)
	}
	lookup, err := p.Lookup()
	if err != nil {
		return nil, err
	}
	return lookup.Annotations(context.Background(), conf.IPAM.Kubeconfig, pod)
}

// logged reads the configuration and CNI_ARGS, calls command, and appends the
// outcome to the log if one is asked for.
func (p *Plugin) logged(call *Call, command func(*NetConf, PodRef) (*Assignment, error)) (err error) {
	defer recovered(&err)
	conf, err := p.configuration(call)
	if err != nil {
		return err
	}
	pod, err := ParseArgs(call.Args)
	var assignment *Assignment
	if err == nil {
		assignment, err = command(conf, pod)
	}
	if conf.IPAM.LogFilePath == "" {
		return err
	}
	pairs := []string{"command", call.Command, "pod", pod.String(), "nic", call.IfName, "container", call.ContainerID}
	if err != nil {
		appendLog(conf.IPAM, p.Now(), levelOf(err), "refused", append(pairs, "error", err.Error())...)
		return err
	}
	appendLog(conf.IPAM, p.Now(), LevelInfo, "answered", append(pairs, assignment.logPairs()...)...)
	appendLog(conf.IPAM, p.Now(), LevelDebug, "read annotations", append(pairs, "from_runtime", strconv.FormatBool(conf.AnnotationsPassed))...)
	return nil
}

// recovered turns a panic into an error of the protocol: what Go prints for one
// is not an answer a runtime can read.
func recovered(err *error) {
	if cause := recover(); cause != nil {
		*err = fail(CodeInternal, "this is a mistake in the plugin, please report it", "panic: %v", cause)
	}
}

func levelOf(err error) Level {
	var e *Error
	if errors.As(err, &e) && e.Code == CodeTryAgainLater {
		return LevelWarn
	}
	return LevelError
}

func (a *Assignment) logPairs() []string {
	pairs := []string{"vlan", strconv.Itoa(a.Vlan)}
	for _, family := range a.Families {
		pairs = append(pairs, "address", family.Address.String(), "pool", family.Pool)
	}
	return pairs
}

// previousAddresses reads those of prevResult, which the specification demands
// for CHECK. Its other keys belong to main plugins.
func previousAddresses(raw strictjson.Raw) ([]address.Prefix, error) {
	if raw == nil || string(raw) == "null" {
		return nil, fail(CodeInvalidNetworkConfig, "", "CHECK needs prevResult, the result of ADD, and it is missing")
	}
	addresses, err := parseAddresses(raw)
	if err != nil {
		return nil, fail(CodeDecodingFailure, "", "decoding prevResult: %v", err)
	}
	return addresses, nil
}

func parseAddresses(raw strictjson.Raw) ([]address.Prefix, error) {
	result, err := strictjson.Parse(raw)
	if err != nil {
		return nil, err
	}
	ips, err := strictjson.Value[[]strictjson.Raw](result, "ips")
	if err != nil {
		return nil, err
	}
	addresses := make([]address.Prefix, len(ips))
	for i, raw := range ips {
		ip, err := strictjson.Parse(raw)
		if err != nil {
			return nil, message.Errorf("ips[%d]: %w", i, err)
		}
		text, err := strictjson.Value[string](ip, "address")
		if err != nil {
			return nil, message.Errorf("ips[%d]: %w", i, err)
		}
		var ok bool
		if addresses[i], ok = address.ParsePrefix(text); !ok {
			return nil, message.Errorf("ips[%d]: address: %q is not an address with its prefix length", i, text)
		}
	}
	return addresses, nil
}

func compare(assignment *Assignment, previous []address.Prefix) error {
	for _, family := range assignment.Families {
		if !slices.ContainsFunc(previous, family.Address.Same) {
			return fail(CodeCheckFailed, "the pod's annotation has changed since its sandbox was made: delete the pod",
				"NIC %s has not address %s of pool %q", assignment.Interface, family.Address, family.Pool)
		}
	}
	return nil
}
