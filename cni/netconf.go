package cni

import (
	"path/filepath"
	"strings"

	"spidernet.io/spiderpool/cni/message"
	"spidernet.io/spiderpool/cni/strictjson"
)

// PluginName is the value of "type" in the ipam section, and the name of the
// plugin's binary.
const PluginName = "spiderpool"

// annotationsCapability is the key in runtimeConfig under which containerd and
// CRI-O pass the pod's annotations.
const annotationsCapability = "io.kubernetes.cri.pod-annotations"

// NetConf is what the plugin reads from its standard input.
type NetConf struct {
	CNIVersion string
	// Name of the network.
	Name string
	IPAM IPAMConf
	// Annotations of the pod; meaningless unless AnnotationsPassed.
	Annotations map[string]string // annotation key -> value
	// PrevResult is undecoded; nil where there is none.
	PrevResult strictjson.Raw
	// AnnotationsPassed tells a runtime that passes no annotations from a pod
	// that has none.
	AnnotationsPassed bool
}

// IPAMConf is the ipam section of the network configuration.
type IPAMConf struct {
	// Kubeconfig is the file to look pods up with where the runtime passes no
	// annotations; empty means never.
	Kubeconfig string
	// LogFilePath is the file to append to; empty means no log.
	LogFilePath string
	// LogLevel is debug, info, warn or error; default info.
	LogLevel Level
	// CleanGateway means no default route, whatever the annotation says.
	CleanGateway bool
	// DefaultIPv4IPPool and DefaultIPv6IPPool are the network's default pools.
	// The webhook reads them; the plugin only checks their form.
	DefaultIPv4IPPool, DefaultIPv6IPPool []string
}

// ParseNetConf reads the network configuration. Keys outside the ipam section
// belong to the main plugin and are none of ours.
func ParseNetConf(stdin []byte) (*NetConf, error) {
	top, err := strictjson.Parse(stdin)
	if err != nil {
		return nil, fail(CodeDecodingFailure, "", "decoding network configuration: %v", err)
	}
	conf := &NetConf{}
	if err := conf.read(top); err != nil {
		return nil, fail(CodeInvalidNetworkConfig, "", "network configuration: %v", err)
	}
	return conf, nil
}

func (c *NetConf) read(top strictjson.Object) (err error) {
	if c.CNIVersion, err = strictjson.Value[string](top, "cniVersion"); err != nil {
		return err
	}
	if c.Name, err = strictjson.Value[string](top, "name"); err != nil {
		return err
	}
	if !isIdentifier(c.Name) {
		return message.Errorf("name: %q is empty or has characters that are not allowed", c.Name)
	}
	c.PrevResult, _ = top.Get("prevResult")
	section, ok := top.Get("ipam")
	if !ok {
		return message.Errorf(`key "ipam" is missing; the main plugin's entry wants "ipam": {"type": %q}`, PluginName)
	}
	if c.IPAM, err = parseIPAM(section); err != nil {
		return message.Errorf("ipam: %w", err)
	}
	if runtimeConfig, ok := top.Get("runtimeConfig"); ok {
		if err := c.readRuntimeConfig(runtimeConfig); err != nil {
			return message.Errorf("runtimeConfig: %w", err)
		}
	}
	return nil
}

func (c *NetConf) readRuntimeConfig(raw strictjson.Raw) error {
	runtimeConfig, err := strictjson.Parse(raw)
	if err != nil {
		return err
	}
	passed, ok := runtimeConfig.Get(annotationsCapability)
	if !ok {
		return nil
	}
	c.AnnotationsPassed = true
	if string(passed) == "null" { // a pod without annotations, written by Go
		return nil
	}
	if c.Annotations, err = strictjson.Strings(passed); err != nil {
		return message.Errorf("%s: %w", annotationsCapability, err)
	}
	return nil
}

func parseIPAM(section strictjson.Raw) (IPAMConf, error) {
	var conf IPAMConf
	object, err := strictjson.Parse(section, "type", "kubeconfig", "log_level", "log_file_path",
		"clean_gateway", "default_ipv4_ippool", "default_ipv6_ippool")
	if err != nil {
		return conf, err
	}
	if err := object.Require("type"); err != nil {
		return conf, err
	}
	name, err := strictjson.Value[string](object, "type")
	if err != nil {
		return conf, err
	}
	if name != PluginName {
		return conf, message.Errorf(`type: this is %q, not %q`, PluginName, name)
	}
	if err := conf.readPaths(object); err != nil {
		return conf, err
	}
	return conf, conf.readChoices(object)
}

func (c *IPAMConf) readPaths(object strictjson.Object) error {
	for _, file := range [...]struct {
		key   string
		field *string
	}{{"kubeconfig", &c.Kubeconfig}, {"log_file_path", &c.LogFilePath}} {
		path, err := strictjson.Value[string](object, file.key)
		if err != nil {
			return err
		}
		if path != "" && !filepath.IsAbs(path) { // the runtime's working directory is not defined
			return message.Errorf("%s: %q is not an absolute path", file.key, path)
		}
		*file.field = path
	}
	return nil
}

func (c *IPAMConf) readChoices(object strictjson.Object) (err error) {
	level, err := strictjson.Value[string](object, "log_level")
	if err != nil {
		return err
	}
	if c.LogLevel, err = parseLevel(level); err != nil {
		return message.Errorf("log_level: %w", err)
	}
	if c.CleanGateway, err = strictjson.Value[bool](object, "clean_gateway"); err != nil {
		return err
	}
	if c.DefaultIPv4IPPool, err = poolNames(object, "default_ipv4_ippool"); err != nil {
		return err
	}
	c.DefaultIPv6IPPool, err = poolNames(object, "default_ipv6_ippool")
	return err
}

func poolNames(object strictjson.Object, key string) ([]string, error) {
	names, err := strictjson.Value[[]string](object, key)
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		if strings.TrimSpace(name) == "" {
			return nil, message.Errorf("%s[%d]: empty name", key, i)
		}
	}
	return names, nil
}
