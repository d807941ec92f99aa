package cni

import (
	"cmp"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"

	"spidernet.io/spiderpool/cni/lookup"
)

// NetConf is what the plugin reads from its standard input.
type NetConf struct {
	CNIVersion    string   `json:"cniVersion"`
	IPAM          IPAMConf `json:"ipam"`
	RuntimeConfig struct {
		// Annotations of the pod, not decoded. Nil: the runtime passes none; null: the pod has
		// none. The key is the capability under which containerd and CRI-O pass them.
		Annotations json.RawMessage `json:"io.kubernetes.cri.pod-annotations"`
	} `json:"runtimeConfig"`
	// PrevResult is not decoded; nil where it is missing.
	PrevResult json.RawMessage `json:"prevResult"`
}

// IPAMConf is the ipam section of the network configuration.
type IPAMConf struct {
	Type         string // PluginName
	Kubeconfig   string // to look pods up with where the runtime passes no annotations; empty means never
	LogFilePath  string // to append to; empty means no log
	LogLevel     int    // an index into levels; default info
	CleanGateway bool   // no default route, whatever the annotation says
	// The network's default pools. The webhook reads them; the plugin only checks their form.
	DefaultIPv4IPPool, DefaultIPv6IPPool []string
	Ignored                              []string // those of upstreamKeys that are present
}

// upstreamKeys mean something to upstream's plugin only. They are accepted, so that a configuration
// written for it goes on working.
var upstreamKeys = [...]string{
	"ipam_unix_socket_path", "log_file_max_size", "log_file_max_age", "log_file_max_count", "match_master_subnet", "enable_debug",
}

// ParseNetConf reads the network configuration. Keys outside the ipam section belong to the main
// plugin, and are read as the main plugin and the library read them.
func ParseNetConf(stdin []byte) (*NetConf, error) {
	conf := &NetConf{}
	err := json.Unmarshal(stdin, conf)
	if err == nil && conf.IPAM.Type == "" {
		err = fmt.Errorf(`key "ipam" is missing; the main plugin's entry wants "ipam": {"type": %q}`, PluginName)
	}
	if err != nil {
		return nil, fail(types.ErrInvalidNetworkConfig, "", "network configuration: %v", err)
	}
	return conf, nil
}

// UnmarshalJSON reads the section, where every key is ours.
func (c *IPAMConf) UnmarshalJSON(section []byte) error {
	*c = IPAMConf{}
	var level string
	var ignored [len(upstreamKeys)]json.RawMessage
	fields := map[string]any{
		"type": &c.Type, "kubeconfig": &c.Kubeconfig, "log_level": &level, "log_file_path": &c.LogFilePath,
		"clean_gateway": &c.CleanGateway, "default_ipv4_ippool": &c.DefaultIPv4IPPool, "default_ipv6_ippool": &c.DefaultIPv6IPPool,
	}
	for i, key := range upstreamKeys {
		fields[key] = &ignored[i]
	}
	if err := readObject(section, fields, "type"); err != nil {
		return fmt.Errorf("ipam: %w", err)
	}
	for i, key := range upstreamKeys {
		if ignored[i] != nil {
			c.Ignored = append(c.Ignored, key)
		}
	}
	if c.Type != PluginName {
		return fmt.Errorf("ipam: type: this is %q, not %q", PluginName, c.Type)
	}
	if c.LogLevel = slices.Index(levels, cmp.Or(strings.ToLower(level), "info")); c.LogLevel < 0 {
		return fmt.Errorf("ipam: log_level: %q is none of %s", level, strings.Join(levels, ", "))
	}
	for _, file := range [...][2]string{{"kubeconfig", c.Kubeconfig}, {"log_file_path", c.LogFilePath}} {
		if file[1] != "" && !filepath.IsAbs(file[1]) { // the runtime's working directory is not defined
			return fmt.Errorf("ipam: %s: %q is not an absolute path", file[0], file[1])
		}
	}
	for _, pool := range slices.Concat(c.DefaultIPv4IPPool, c.DefaultIPv6IPPool) {
		if strings.TrimSpace(pool) == "" {
			return fmt.Errorf("ipam: default_ipv4_ippool, default_ipv6_ippool: %q is no name of a pool", pool)
		}
	}
	return nil
}

// previousAddresses reads those of prevResult, which the specification requires for CHECK.
func (c *NetConf) previousAddresses() (addresses []string, err error) {
	if c.PrevResult == nil || string(c.PrevResult) == "null" {
		return nil, fail(types.ErrInvalidNetworkConfig, "", "CHECK needs prevResult, the result of ADD, and it is missing")
	}
	var current *types100.Result
	result, err := version.NewResult(c.CNIVersion, c.PrevResult)
	if err == nil {
		current, err = types100.GetResult(result)
	}
	if err != nil {
		return nil, fail(types.ErrDecodingFailure, "", "decoding prevResult: %v", err)
	}
	for _, ip := range current.IPs {
		addresses = append(addresses, ip.Address.String())
	}
	return addresses, nil
}

// ParseArgs reads CNI_ARGS. Other keys are refused unless IgnoreUnknown is set, which the runtimes
// of kubelet do.
func ParseArgs(args string) (lookup.Pod, error) {
	var read struct { // the library finds the keys by these names
		types.CommonArgs
		K8S_POD_NAMESPACE, K8S_POD_NAME, K8S_POD_UID types.UnmarshallableString
	}
	if err := types.LoadArgs(args, &read); err != nil {
		return lookup.Pod{}, fail(types.ErrInvalidEnvironmentVariables, "", "CNI_ARGS: %v", err)
	}
	return lookup.Pod{Namespace: string(read.K8S_POD_NAMESPACE), Name: string(read.K8S_POD_NAME), UID: string(read.K8S_POD_UID)}, nil
}
