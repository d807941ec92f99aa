package cni

import (
	"strings"

	"spidernet.io/spiderpool/cni/message"
)

// PodRef names the pod that a sandbox is made for.
type PodRef struct {
	Namespace, Name string
	// UID is empty where the runtime does not tell it.
	UID string
}

func (p PodRef) String() string {
	if p.Name == "" {
		return "(not named in CNI_ARGS)"
	}
	return p.Namespace + "/" + p.Name
}

// Limits of Kubernetes' names.
const (
	maxLabel     = 63
	maxSubdomain = 253
)

// ParseArgs reads CNI_ARGS: pairs K=V with semicolons between them. Keys that
// are not ours are refused unless IgnoreUnknown is set, as the specification
// wants it; kubelet's runtimes set it.
func ParseArgs(args string) (PodRef, error) {
	pod, err := parseArgs(args)
	if err != nil {
		return PodRef{}, fail(CodeInvalidEnvironmentVariables, "", "CNI_ARGS: %v", err)
	}
	return pod, nil
}

func parseArgs(args string) (PodRef, error) {
	ours := map[string]string{ // key -> value
		"IgnoreUnknown": "", "K8S_POD_NAMESPACE": "", "K8S_POD_NAME": "", "K8S_POD_UID": "",
	}
	var unknown []string
	for pair := range strings.SplitSeq(args, ";") {
		if pair == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return PodRef{}, message.Errorf("%q is not a pair key=value", pair)
		}
		earlier, known := ours[key]
		switch {
		case !known:
			unknown = append(unknown, key)
		case earlier != "":
			return PodRef{}, message.Errorf("key %s is there twice", key)
		default:
			ours[key] = value
		}
	}
	ignore, err := parseBool(ours["IgnoreUnknown"])
	if err != nil {
		return PodRef{}, message.Errorf("IgnoreUnknown: %w", err)
	}
	if len(unknown) > 0 && !ignore {
		return PodRef{}, message.Errorf("unknown key %q, and IgnoreUnknown is not set", unknown[0])
	}
	pod := PodRef{Namespace: ours["K8S_POD_NAMESPACE"], Name: ours["K8S_POD_NAME"], UID: ours["K8S_POD_UID"]}
	return pod, pod.validate()
}

func parseBool(value string) (bool, error) {
	switch strings.ToLower(value) {
	case "1", "true":
		return true, nil
	case "", "0", "false":
		return false, nil
	}
	return false, message.Errorf("%q is neither true nor false", value)
}

// validate keeps what goes into a path of the API server to the letters that
// Kubernetes allows there.
func (p PodRef) validate() error {
	if (p.Namespace == "") != (p.Name == "") {
		return message.Errorf("K8S_POD_NAMESPACE %q and K8S_POD_NAME %q belong together", p.Namespace, p.Name)
	}
	if p.Namespace != "" && (len(p.Namespace) > maxLabel || !isLabel(p.Namespace)) {
		return message.Errorf("K8S_POD_NAMESPACE: %q is not a namespace's name", p.Namespace)
	}
	if p.Name != "" && !isSubdomain(p.Name) {
		return message.Errorf("K8S_POD_NAME: %q is not a pod's name", p.Name)
	}
	if len(p.UID) > maxSubdomain || strings.Trim(strings.ToLower(p.UID), lettersDigits+"-") != "" {
		return message.Errorf("K8S_POD_UID: %q is not a UID", p.UID)
	}
	return nil
}

const lettersDigits = "abcdefghijklmnopqrstuvwxyz0123456789"

// isSubdomain tells whether name is a DNS-1123 subdomain.
func isSubdomain(name string) bool {
	if len(name) > maxSubdomain {
		return false
	}
	for part := range strings.SplitSeq(name, ".") {
		if !isLabel(part) {
			return false
		}
	}
	return true
}

// isLabel tells whether name is made as a DNS-1123 label is, of whatever length.
func isLabel(name string) bool {
	if name == "" || name[0] == '-' || name[len(name)-1] == '-' {
		return false
	}
	return strings.Trim(name, lettersDigits+"-") == ""
}
