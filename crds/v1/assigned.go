package v1

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
)

// Assigned is the value of the annotation assigned-<nic>: what one NIC of a pod was given. The CNI
// plugin hands exactly this to the main plugin. The first six keys are always there.
//
// +kubebuilder:object:generate=false
type Assigned struct {
	// Interface is the NIC, the same as in the annotation's key.
	Interface string `json:"interface"`
	// IPv4Pool and IPv6Pool name the pools; empty where there is no address.
	IPv4Pool string `json:"ipv4pool"`
	IPv6Pool string `json:"ipv6pool"`
	// IPv4 and IPv6 are addresses with the prefix length of the pool's subnet; empty where the
	// family is not given.
	IPv4 string `json:"ipv4"`
	IPv6 string `json:"ipv6"`
	// Vlan of the pools; 0 means none.
	Vlan int64 `json:"vlan"`
	// IPv4Gateway and IPv6Gateway are the default gateways.
	IPv4Gateway string `json:"ipv4gateway,omitempty"`
	IPv6Gateway string `json:"ipv6gateway,omitempty"`
	// CleanGateway means that the NIC gets no default route.
	CleanGateway bool `json:"cleangateway,omitempty"`
	// Routes besides the default route.
	Routes []Route `json:"routes,omitempty"`
}

// Claim is one address that a pod carries.
//
// +kubebuilder:object:generate=false
type Claim struct {
	Pool    string
	Address netip.Addr
	// NIC is the pod's interface that the address is on.
	NIC string
}

// Is reports whether the claim is of an address of a pool, on whatever NIC.
func (c Claim) Is(pool string, address netip.Addr) bool {
	return c.Pool == pool && c.Address == address
}

// ParseAssigned reads the annotation of nic. Unknown keys, text after the value, a NIC that differs
// and an address without its pool are errors.
func ParseAssigned(nic, value string) (Assigned, error) {
	var a Assigned
	d := json.NewDecoder(bytes.NewReader([]byte(value)))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return Assigned{}, fmt.Errorf("decoding annotation %s%s: %w", AnnotationAssignedPrefix, nic, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Assigned{}, fmt.Errorf("decoding annotation %s%s: text after the JSON object", AnnotationAssignedPrefix, nic)
	}
	if a.Interface != nic {
		return Assigned{}, fmt.Errorf("annotation %s%s: interface is %q", AnnotationAssignedPrefix, nic, a.Interface)
	}
	if _, err := a.Claims(); err != nil {
		return Assigned{}, fmt.Errorf("annotation %s%s: %w", AnnotationAssignedPrefix, nic, err)
	}
	return a, nil
}

// Claims returns the addresses of a with their pools, IPv4 first.
func (a Assigned) Claims() ([]Claim, error) {
	var claims []Claim
	for _, f := range [...]struct {
		name, pool, address string
		is6                 bool
	}{{"ipv4", a.IPv4Pool, a.IPv4, false}, {"ipv6", a.IPv6Pool, a.IPv6, true}} {
		if f.address == "" && f.pool == "" {
			continue
		}
		p, err := netip.ParsePrefix(f.address)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
		if p.Addr().Is6() != f.is6 || p.Addr().Is4In6() {
			return nil, fmt.Errorf("%s: %s is of the other family", f.name, f.address)
		}
		if f.pool == "" {
			return nil, fmt.Errorf("%spool is empty although %s is %s", f.name, f.name, f.address)
		}
		claims = append(claims, Claim{Pool: f.pool, Address: p.Addr(), NIC: a.Interface})
	}
	return claims, nil
}

// ClaimsOf returns all addresses that the annotations of a pod carry, in the order of its NICs'
// names, and what was wrong with annotations that could not be read; those carry nothing.
func ClaimsOf(annotations map[string]string) ([]Claim, []error) {
	var claims []Claim
	var errs []error
	for _, a := range AssignedOf(annotations, &errs) {
		c, _ := a.Claims() // ParseAssigned has checked it
		claims = append(claims, c...)
	}
	return claims, errs
}

// AssignedOf returns what each NIC was given, the default NIC first, then by name. What could not
// be read is appended to errs, unless that is nil.
func AssignedOf(annotations map[string]string, errs *[]error) []Assigned {
	var all []Assigned
	for key, value := range annotations {
		nic, ok := strings.CutPrefix(key, AnnotationAssignedPrefix)
		if !ok {
			continue
		}
		a, err := ParseAssigned(nic, value)
		if err != nil {
			if errs != nil {
				*errs = append(*errs, err)
			}
			continue
		}
		all = append(all, a)
	}
	sortAssigned(all)
	return all
}

func sortAssigned(all []Assigned) {
	slices.SortFunc(all, func(a, b Assigned) int {
		if d := a.Interface == DefaultNIC; d != (b.Interface == DefaultNIC) {
			if d {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Interface, b.Interface)
	})
}
