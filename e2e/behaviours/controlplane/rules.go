package controlplane

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	crdv1 "spidernet.io/spiderpool/crds/v1"
)

// The rules of pool-rules.

const (
	bySchema  = `SpiderIPPool.spiderpool.spidernet.io "pool-rules-bad" is invalid: `
	byWebhook = `admission webhook "spiderippools.spiderpool.spidernet.io" denied the request: ` + bySchema

	// notAllChecked follows where the types are wrong: CEL is asked of well typed objects only.
	notAllChecked = `, <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]`

	entryForm = `; each entry is an address such as 172.18.41.40 or a range such as 172.18.41.40-172.18.41.50`

	bySchemaOfBase  = `SpiderIPPool.spiderpool.spidernet.io "pool-rules-base" is invalid: `
	byWebhookOfBase = `admission webhook "spiderippools.spiderpool.spidernet.io" denied the request: ` + bySchemaOfBase
)

var createRules = map[string]poolRule{
	"ipVersion of the other family": {
		func(s *crdv1.IPPoolSpec) { s.IPVersion = new(int64(6)) },
		bySchema + `spec.ipVersion: Invalid value: ipVersion differs from the family of subnet; set it to that family or leave it out`,
	},
	"ipVersion 5": {
		func(s *crdv1.IPPoolSpec) { s.IPVersion = new(int64(5)) },
		bySchema + `[spec.ipVersion: Invalid value: ipVersion differs from the family of subnet; set it to that family or leave it out, spec.ipVersion: Invalid value: 5: must be 4 or 6]`,
	},
	"subnet with host bits": {
		func(s *crdv1.IPPoolSpec) { s.Subnet = "10.8.0.7/24" },
		bySchema + `spec.subnet: Invalid value: "10.8.0.7/24": must be a CIDR in canonical form, with all host bits zero, such as 172.18.41.0/24 or fc00:1::/64`,
	},
	"subnet without length": {
		func(s *crdv1.IPPoolSpec) { s.Subnet = "10.8.0.0" },
		bySchema + `spec.subnet: Invalid value: "10.8.0.0": must be a CIDR in canonical form, with all host bits zero, such as 172.18.41.0/24 or fc00:1::/64`,
	},
	"subnet missing": {
		func(s *crdv1.IPPoolSpec) { s.Subnet = "" },
		bySchema + `spec.subnet: Invalid value: "": must be a CIDR in canonical form, with all host bits zero, such as 172.18.41.0/24 or fc00:1::/64`,
	},
	"gateway outside": {
		func(s *crdv1.IPPoolSpec) { s.Gateway = new("10.8.7.1") },
		bySchema + `spec.gateway: Invalid value: gateway 10.8.7.1 lies outside of subnet 10.8.0.0/24`,
	},
	"gateway no address": {
		func(s *crdv1.IPPoolSpec) { s.Gateway = new("gw") },
		bySchema + `spec.gateway: Invalid value: "gw": must be an IP address without leading zeros, such as 172.18.41.1 or fc00:1::1`,
	},
	"gateway with leading zeros": {
		func(s *crdv1.IPPoolSpec) { s.Gateway = new("10.8.0.01") },
		bySchema + `spec.gateway: Invalid value: "10.8.0.01": must be an IP address without leading zeros, such as 172.18.41.1 or fc00:1::1`,
	},
	"gateway that is the broadcast address": {
		func(s *crdv1.IPPoolSpec) { s.Gateway = new("10.8.0.255") },
		byWebhook + `spec.gateway: Invalid value: "10.8.0.255": is the broadcast address of subnet 10.8.0.0/24, which no router can have`,
	},
	"vlan too high": {
		func(s *crdv1.IPPoolSpec) { s.Vlan = new(int64(4096)) },
		bySchema + `spec.vlan: Invalid value: 4096: spec.vlan in body should be less than or equal to 4095`,
	},
	"vlan negative": {
		func(s *crdv1.IPPoolSpec) { s.Vlan = new(int64(-1)) },
		bySchema + `spec.vlan: Invalid value: -1: spec.vlan in body should be greater than or equal to 0`,
	},
	"ips with a name": {
		func(s *crdv1.IPPoolSpec) { s.IPs = []string{"host"} },
		bySchema + `spec.ips[0]: Invalid value: "host": is neither an address nor a range` + entryForm,
	},
	"ips with a CIDR": {
		func(s *crdv1.IPPoolSpec) { s.IPs = []string{"10.8.0.100", "10.8.0.128/25"} },
		bySchema + `spec.ips[1]: Invalid value: "10.8.0.128/25": is a CIDR` + entryForm,
	},
	"ips with blanks": {
		func(s *crdv1.IPPoolSpec) { s.IPs = []string{"10.8.0.100 - 10.8.0.109"} },
		bySchema + `spec.ips[0]: Invalid value: "10.8.0.100 - 10.8.0.109": has a blank` + entryForm,
	},
	"ips as status has them": {
		func(s *crdv1.IPPoolSpec) { s.IPs = []string{"10.8.0.100-105,108"} },
		bySchema + `spec.ips[0]: Invalid value: "10.8.0.100-105,108": is several in one entry` + entryForm,
	},
	"ips with an end cut short": {
		func(s *crdv1.IPPoolSpec) { s.IPs = []string{"10.8.0.100-105"} },
		byWebhook + `spec.ips[0]: Invalid value: "10.8.0.100-105": the end is cut short, write 10.8.0.100-10.8.0.105`,
	},
	"ips with leading zeros": {
		func(s *crdv1.IPPoolSpec) { s.IPs = []string{"10.8.00.100"} },
		byWebhook + `spec.ips[0]: Invalid value: "10.8.00.100": leading zeros, write 10.8.0.100`,
	},
	"excludeIPs with a CIDR": {
		func(s *crdv1.IPPoolSpec) { s.ExcludeIPs = []string{"10.8.0.0/25"} },
		bySchema + `spec.excludeIPs[0]: Invalid value: "10.8.0.0/25": is a CIDR` + entryForm,
	},
	"ips backwards": {
		func(s *crdv1.IPPoolSpec) { s.IPs = []string{"10.8.0.109-10.8.0.100"} },
		byWebhook + `spec.ips[0]: Invalid value: "10.8.0.109-10.8.0.100": start after end`,
	},
	"ips outside": {
		func(s *crdv1.IPPoolSpec) { s.IPs = []string{"10.8.0.100", "10.8.0.250-10.8.1.5"} },
		byWebhook + `spec.ips[1]: Invalid value: "10.8.0.250-10.8.1.5": outside of subnet 10.8.0.0/24`,
	},
	"ips of the other family": {
		func(s *crdv1.IPPoolSpec) { s.IPs = []string{"fc00:8::1"} },
		byWebhook + `spec.ips[0]: Invalid value: "fc00:8::1": of the other family than subnet 10.8.0.0/24`,
	},
	"ips mapped into IPv6": {
		func(s *crdv1.IPPoolSpec) { s.IPs = []string{"::ffff:10.8.0.100"} },
		byWebhook + `spec.ips[0]: Invalid value: "::ffff:10.8.0.100": an address with a zone, or IPv4-mapped`,
	},
	"ips that overlap one another": {
		func(s *crdv1.IPPoolSpec) { s.IPs = []string{"10.8.0.100-10.8.0.109", "10.8.0.90-10.8.0.100"} },
		byWebhook + `spec.ips[1]: Invalid value: "10.8.0.90-10.8.0.100": overlaps spec.ips[0] (10.8.0.100-10.8.0.109)`,
	},
	"excludeIPs outside": {
		func(s *crdv1.IPPoolSpec) { s.ExcludeIPs = []string{"10.8.1.1"} },
		byWebhook + `spec.excludeIPs[0]: Invalid value: "10.8.1.1": outside of subnet 10.8.0.0/24`,
	},
	"excludeIPs backwards": {
		func(s *crdv1.IPPoolSpec) { s.ExcludeIPs = []string{"10.8.0.9-10.8.0.1"} },
		byWebhook + `spec.excludeIPs[0]: Invalid value: "10.8.0.9-10.8.0.1": start after end`,
	},
	"addresses of another pool": {
		func(s *crdv1.IPPoolSpec) { s.Subnet, s.IPs = "10.8.0.0/23", []string{"10.8.1.15-10.8.1.25"} },
		byWebhook + `spec.ips[0]: Invalid value: "10.8.1.15-10.8.1.25": overlaps pool "pool-rules-other": 10.8.1.15-10.8.1.19`,
	},
	"one address of another pool": {
		func(s *crdv1.IPPoolSpec) { s.IPs = append(s.IPs, "10.8.0.30") },
		byWebhook + `spec.ips[2]: Invalid value: "10.8.0.30": overlaps pool "pool-rules-base": 10.8.0.30`,
	},
	"route dst no CIDR": {
		func(s *crdv1.IPPoolSpec) { s.Routes[0].Dst = "192.168.0.1" },
		bySchema + `spec.routes[0].dst: Invalid value: "192.168.0.1": must be a CIDR`,
	},
	"route dst with host bits": {
		func(s *crdv1.IPPoolSpec) { s.Routes[0].Dst = "192.168.0.1/16" },
		byWebhook + `spec.routes[0].dst: Invalid value: "192.168.0.1/16": not canonical, write 192.168.0.0/16`,
	},
	"route dst of the other family": {
		func(s *crdv1.IPPoolSpec) { s.Routes[0].Dst = "fc00:9::/64" },
		byWebhook + `spec.routes[0].dst: Invalid value: "fc00:9::/64": of the other family than subnet 10.8.0.0/24`,
	},
	"route gw no address": {
		func(s *crdv1.IPPoolSpec) { s.Routes[0].Gw = "gw" },
		bySchema + `spec.routes[0].gw: Invalid value: "gw": must be an IP address without leading zeros, such as 172.18.41.1 or fc00:1::1`,
	},
	"route gw that is the broadcast address": {
		func(s *crdv1.IPPoolSpec) { s.Routes[0].Gw = "10.8.0.255" },
		byWebhook + `spec.routes[0].gw: Invalid value: "10.8.0.255": is the broadcast address of subnet 10.8.0.0/24, which no router can have`,
	},
	"route to the own subnet": {
		func(s *crdv1.IPPoolSpec) { s.Routes[0].Dst = "10.8.0.0/24" },
		byWebhook + `spec.routes[0].dst: Invalid value: "10.8.0.0/24": is the pool's own subnet 10.8.0.0/24, which pods reach without a router: the route would cut them off from one another`,
	},
	"route gw outside": {
		func(s *crdv1.IPPoolSpec) { s.Routes[0].Gw = "10.9.0.1" },
		byWebhook + `spec.routes[0].gw: Invalid value: "10.9.0.1": outside of subnet 10.8.0.0/24`,
	},
	"route dst twice": {
		func(s *crdv1.IPPoolSpec) { s.Routes = append(s.Routes, s.Routes[0]) },
		byWebhook + `spec.routes[1].dst: Invalid value: "192.168.0.0/16": routes[0] has the same destination`,
	},
	"default route beside a gateway": {
		func(s *crdv1.IPPoolSpec) { s.Routes[0].Dst = "0.0.0.0/0" },
		byWebhook + `spec.routes[0].dst: Invalid value: "0.0.0.0/0": gateway 10.8.0.1 makes the default route already`,
	},
	"podAffinity with an unknown operator": {
		func(s *crdv1.IPPoolSpec) {
			s.PodAffinity = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Like"}}}
		},
		byWebhook + `spec.podAffinity.matchExpressions[0].operator: Invalid value: "Like": not a valid selector operator`,
	},
	"namespaceAffinity with a bad label": {
		func(s *crdv1.IPPoolSpec) {
			s.NamespaceAffinity = &metav1.LabelSelector{MatchLabels: map[string]string{"a b": "c"}}
		},
		byWebhook + `spec.namespaceAffinity.matchLabels: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`,
	},
	"nodeAffinity without values": {
		func(s *crdv1.IPPoolSpec) {
			s.NodeAffinity = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: metav1.LabelSelectorOpIn}}}
		},
		byWebhook + "spec.nodeAffinity.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
	},
}

var updateRules = map[string]poolRule{
	"subnet changed": {
		func(s *crdv1.IPPoolSpec) { s.Subnet = "10.8.0.0/25" },
		bySchemaOfBase + `spec.subnet: Invalid value: "10.8.0.0/25": subnet is immutable; make another pool instead`,
	},
	"ipVersion changed": {
		func(s *crdv1.IPPoolSpec) { s.IPVersion = new(int64(6)) },
		bySchemaOfBase + `[spec.ipVersion: Invalid value: ipVersion differs from the family of subnet; set it to that family or leave it out, spec.ipVersion: Invalid value: ipVersion is immutable; make another pool instead]`,
	},
	"ips grown over another pool's": {
		func(s *crdv1.IPPoolSpec) { s.IPs = append(s.IPs, "10.8.0.45-10.8.0.60") },
		byWebhookOfBase + `spec.ips[2]: Invalid value: "10.8.0.45-10.8.0.60": overlaps pool "pool-rules-neighbour": 10.8.0.45-10.8.0.49`,
	},
	"gateway moved to an address of another pool": {
		func(s *crdv1.IPPoolSpec) { s.Gateway = new("10.8.0.44") },
		byWebhookOfBase + `spec.gateway: Invalid value: "10.8.0.44": is an address of pool "pool-rules-neighbour": exclude it there first`,
	},
	"gateway moved to the broadcast address": {
		func(s *crdv1.IPPoolSpec) { s.Gateway = new("10.8.0.255") },
		byWebhookOfBase + `spec.gateway: Invalid value: "10.8.0.255": is the broadcast address of subnet 10.8.0.0/24, which no router can have`,
	},
	"a route to a part of the own subnet": {
		func(s *crdv1.IPPoolSpec) { s.Routes[0].Dst = "10.8.0.128/25" },
		byWebhookOfBase + `spec.routes[0].dst: Invalid value: "10.8.0.128/25": lies inside the pool's own subnet 10.8.0.0/24, which pods reach without a router: the route would cut them off from one another`,
	},
	"ips grown over its own": {
		func(s *crdv1.IPPoolSpec) { s.ExcludeIPs, s.IPs = nil, append(s.IPs, "10.8.0.30-10.8.0.31") },
		byWebhookOfBase + `spec.ips[2]: Invalid value: "10.8.0.30-10.8.0.31": overlaps spec.ips[1] (10.8.0.30)`,
	},
}

// typeRules prove that the schema speaks of types, and not whoever decodes the object first.
var typeRules = map[string]typeRule{
	"ips no list": {
		"SpiderIPPool", "ips", "10.8.0.100-10.8.0.109",
		bySchema + `[spec.ips: Invalid value: "string": spec.ips in body must be of type array: "string"` + notAllChecked,
	},
	"ipVersion a string": {
		"SpiderIPPool", "ipVersion", "4",
		bySchema + `[spec.ipVersion: Invalid value: "string": spec.ipVersion in body must be of type integer: "string"` + notAllChecked,
	},
	"ips with a number": {
		"SpiderIPPool", "ips", []any{"10.8.0.100", int64(7)},
		bySchema + `[spec.ips[1]: Invalid value: "integer": spec.ips[1] in body must be of type string: "integer"` + notAllChecked,
	},
	"reserved ips no list": {
		"SpiderReservedIP", "ips", "10.8.0.100",
		`SpiderReservedIP.spiderpool.spidernet.io "pool-rules-bad" is invalid: [spec.ips: Invalid value: "string": spec.ips in body must be of type array: "string"` + notAllChecked,
	},
}
