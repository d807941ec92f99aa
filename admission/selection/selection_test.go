package selection

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"spidernet.io/spiderpool/admission/config"
	"spidernet.io/spiderpool/allocator/choice"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

func TestChooseCandidates(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in         Snapshot
		want       [][]string // slots
		wantRule   string
		wantPassed string
	}{
		"the pod's annotation keeps its order": {
			in:       snapshot(pool4("a"), pool4("b"), pool4("c")).pod(crdv1.AnnotationIPPool, `{"ipv4":["c","a"]}`),
			want:     [][]string{{"c", "a"}},
			wantRule: "annotation ipam.spidernet.io/ippool",
		},
		"both families, IPv4 first": {
			in:       snapshot(pool4("a"), pool6("z")).pod(crdv1.AnnotationIPPool, ` {"ipv6":["z"], "ipv4":["a"]} `),
			want:     [][]string{{"a"}, {"z"}},
			wantRule: "annotation ipam.spidernet.io/ippool",
		},
		"a disabled family is not given": {
			in: snapshot(pool4("a"), pool6("z")).pod(crdv1.AnnotationIPPool, `{"ipv4":["a"],"ipv6":["z"]}`).
				configured(func(c *config.Config) { c.EnableIPv6 = false }),
			want:     [][]string{{"a"}},
			wantRule: "annotation ipam.spidernet.io/ippool",
		},
		"the pod beats namespace, configuration and default pools": {
			in: snapshot(pool4("a"), pool4("n"), pool4("c"), pool4("d", isDefault)).pod(crdv1.AnnotationIPPool, `{"ipv4":["a"]}`).
				namespace(crdv1.AnnotationDefaultIPv4IPPool, `["n"]`).
				configured(func(c *config.Config) { c.ClusterDefaultIPv4IPPool = []string{"c"} }),
			want:     [][]string{{"a"}},
			wantRule: "annotation ipam.spidernet.io/ippool",
		},
		"the namespace beats default pools, and its missing family is not filled from them": {
			in: snapshot(pool4("n"), pool6("z", isDefault)).namespace(crdv1.AnnotationDefaultIPv4IPPool, `["n"]`).
				configured(func(c *config.Config) { c.ClusterDefaultIPv6IPPool = []string{"z"} }),
			want:     [][]string{{"n"}},
			wantRule: "annotation ipam.spidernet.io/default-ipv4-ippool of namespace team-a",
		},
		"both annotations of the namespace": {
			in: snapshot(pool4("n"), pool6("z")).namespace(crdv1.AnnotationDefaultIPv4IPPool, `["n"]`).
				namespace(crdv1.AnnotationDefaultIPv6IPPool, `["z"]`),
			want:     [][]string{{"n"}, {"z"}},
			wantRule: "annotation ipam.spidernet.io/default-ipv4-ippool and annotation ipam.spidernet.io/default-ipv6-ippool of namespace team-a",
		},
		"listed pools come before default ones, those by what they have free, then by name": {
			in: snapshot(
				pool4("listed", counted(1, 1)), pool4("tight", isDefault, counted(10, 9)), pool4("wide", isDefault, counted(100, 10)),
				pool4("alike", isDefault, counted(91, 1)), pool4("other"), pool6("z", isDefault),
			).configured(func(c *config.Config) { c.ClusterDefaultIPv4IPPool = []string{"listed", "tight"} }),
			want:     [][]string{{"listed", "tight", "alike", "wide"}, {"z"}},
			wantRule: "the cluster's default pools",
		},
		"a listed pool that does not exist is passed over": {
			in: snapshot(pool4("a")).configured(func(c *config.Config) {
				c.ClusterDefaultIPv4IPPool = []string{"gone", "a"}
			}),
			want:       [][]string{{"a"}},
			wantRule:   "the cluster's default pools",
			wantPassed: `"gone" does not exist`,
		},
		"a default pool with an unreadable subnet is ignored": {
			in:       snapshot(pool4("a", isDefault), pool4("odd", isDefault, spec(func(s *crdv1.IPPoolSpec) { s.Subnet = "10.0.0.1/8" }))),
			want:     [][]string{{"a"}},
			wantRule: "the cluster's default pools",
		},
		"no default network, and no annotation: left alone": {
			in: snapshot(pool4("a", isDefault)).namespace(crdv1.AnnotationDefaultIPv4IPPool, `["a"]`).
				pod(multusNetworks, "somebody/else").
				configured(func(c *config.Config) { c.DefaultNetwork, c.ClusterDefaultIPv4IPPool = false, []string{"a"} }),
		},
		"no default network, and an annotation": {
			in: snapshot(pool4("a")).pod(crdv1.AnnotationIPPool, `{"ipv4":["a"]}`).
				configured(func(c *config.Config) { c.DefaultNetwork = false }),
			want:     [][]string{{"a"}},
			wantRule: "annotation ipam.spidernet.io/ippool",
		},
		"a list of names beats the selector for the same objects": {
			in: snapshot(pool4("a", spec(func(s *crdv1.IPPoolSpec) {
				s.NamespaceName = []string{"team-b", "team-a"}
				s.NamespaceAffinity = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "z"}}
			}))).pod(crdv1.AnnotationIPPool, `{"ipv4":["a"]}`),
			want:     [][]string{{"a"}},
			wantRule: "annotation ipam.spidernet.io/ippool",
		},
		"selectors that match, and empty ones": {
			in: snapshot(pool4("a", spec(func(s *crdv1.IPPoolSpec) {
				s.NamespaceAffinity = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "a"}}
				s.PodAffinity = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
				s.NodeAffinity = &metav1.LabelSelector{}
			})), pool4("b", spec(func(s *crdv1.IPPoolSpec) {
				s.NamespaceAffinity, s.PodAffinity = &metav1.LabelSelector{}, &metav1.LabelSelector{}
			}))).pod(crdv1.AnnotationIPPool, `{"ipv4":["a","b"]}`),
			want:     [][]string{{"a", "b"}},
			wantRule: "annotation ipam.spidernet.io/ippool",
		},
		"a pool of the node that the pod names": {
			in:       onNode("n1", snapshot(pool4("a", spec(func(s *crdv1.IPPoolSpec) { s.NodeName = []string{"n1"} }))).pod(crdv1.AnnotationIPPool, `{"ipv4":["a"]}`)),
			want:     [][]string{{"a"}},
			wantRule: "annotation ipam.spidernet.io/ippool",
		},
		"only one VLAN is left, the first that both families have": {
			in: snapshot(pool4("a", onVlan(1)), pool4("b", onVlan(2)), pool4("c", onVlan(2)), pool6("y", onVlan(3)), pool6("z", onVlan(2))).
				pod(crdv1.AnnotationIPPool, `{"ipv4":["a","b","c"],"ipv6":["y","z"]}`),
			want:     [][]string{{"b", "c"}, {"z"}},
			wantRule: "annotation ipam.spidernet.io/ippool",
			wantPassed: `"a" has vlan 1, and "b" with vlan 2 goes before it on the same NIC; ` +
				`"y" has vlan 3, and "b" with vlan 2 goes before it on the same NIC`,
		},
		"a pool that was edited goes on serving": {
			in: snapshot(pool4("a", condition(metav1.ConditionTrue, crdv1.ReasonInitialised, "", 2), func(p *crdv1.SpiderIPPool) {
				p.Status.InService = []string{"10.1.0.1-10.1.0.9"}
			})).pod(crdv1.AnnotationIPPool, `{"ipv4":["a"]}`),
			want:     [][]string{{"a"}},
			wantRule: "annotation ipam.spidernet.io/ippool",
		},
		"one family may have pools of several VLANs": {
			in:       snapshot(pool4("a", onVlan(1)), pool4("b", onVlan(2))).pod(crdv1.AnnotationIPPool, `{"ipv4":["a","b"]}`),
			want:     [][]string{{"a", "b"}},
			wantRule: "annotation ipam.spidernet.io/ippool",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Choose(test.in)
			if err != nil {
				t.Fatal(err)
			}
			var names [][]string
			for _, slot := range got.Slots {
				names = append(names, slot.Pools)
				if slot.NIC != crdv1.DefaultNIC || got.CleanGateway[slot.NIC] {
					t.Errorf("NIC %q, cleanGateway %v", slot.NIC, got.CleanGateway)
				}
			}
			if diff := cmp.Diff(test.want, names); diff != "" {
				t.Error(diff)
			}
			if got.Rule != test.wantRule {
				t.Errorf("rule %q, want %q", got.Rule, test.wantRule)
			}
			if p := (choice.Choice{Slots: got.Slots}).PassedOver(); p != test.wantPassed {
				t.Errorf("passed over %q\nwant %q", p, test.wantPassed)
			}
		})
	}
}

func onNode(name string, s Snapshot) Snapshot {
	s.Pod.Spec.NodeName = name
	return s
}

func TestChooseRefuses(t *testing.T) {
	t.Parallel()
	const byAnnotation = "choosing pools by annotation ipam.spidernet.io/ippool: "
	// one is a snapshot with pool "a", which the pod names
	one := func(changes ...func(*crdv1.SpiderIPPool)) Snapshot {
		return snapshot(pool4("a", changes...)).pod(crdv1.AnnotationIPPool, `{"ipv4":["a"]}`)
	}
	left := func(reason string) string { return byAnnotation + `no pool is left for IPv4 of eth0: "a" ` + reason }
	tests := map[string]struct {
		in   Snapshot
		want Refusal
		text string
	}{
		"no rule applies": {
			in:   snapshot(pool4("a")),
			want: Refusal{AllPools: true},
			text: "no pool is named for the pod: set annotation ipam.spidernet.io/ippool, or have default pools; where Spiderpool is not the pod network, set defaultNetwork: false in the configuration",
		},
		"a pod that may go on for longer than a day": {
			in: func() Snapshot {
				s := one()
				s.Pod.Spec.TerminationGracePeriodSeconds = new(int64(86401))
				return s
			}(),
			want: Refusal{},
			text: "spec.terminationGracePeriodSeconds is 86401: a pod with an address may have at most 86400 (a day), " +
				"since for that long its address is held where nobody confirms its end",
		},
		"a pool that does not exist, although another is left": {
			in:   snapshot(pool4("a")).pod(crdv1.AnnotationIPPool, `{"ipv4":["a","b"]}`),
			want: Refusal{Pools: []string{"b"}},
			text: byAnnotation + `ipv4[1]: pool "b" does not exist`,
		},
		"a pool of the other family": {
			in:   snapshot(pool4("a", disabled)).pod(crdv1.AnnotationIPPool, `{"ipv6":["a"]}`),
			want: Refusal{Pools: []string{"a"}},
			text: byAnnotation + `ipv6[0]: pool "a" is not an IPv6 pool`,
		},
		"a pool that the namespace names does not exist": {
			in:   snapshot().namespace(crdv1.AnnotationDefaultIPv6IPPool, `["b"]`),
			want: Refusal{Pools: []string{"b"}},
			text: "choosing pools by annotation ipam.spidernet.io/default-ipv6-ippool of namespace team-a: " +
				`ipam.spidernet.io/default-ipv6-ippool[0]: pool "b" does not exist`,
		},
		"an annotation of the namespace that cannot be read": {
			in:   snapshot().namespace(crdv1.AnnotationDefaultIPv4IPPool, `a`),
			text: "annotation ipam.spidernet.io/default-ipv4-ippool of namespace team-a: not JSON: invalid character 'a' looking for beginning of value; want [\"pool\"]",
		},
		"an annotation of the pod that cannot be read": {
			in:   snapshot().pod(crdv1.AnnotationIPPool, `{"ipv4":[7]}`),
			text: "annotation ipam.spidernet.io/ippool: ipv4[0]: want a pool name in quotes, found 7",
		},
		"only a disabled family": {
			in: snapshot(pool6("z")).pod(crdv1.AnnotationIPPool, `{"ipv6":["z"]}`).
				configured(func(c *config.Config) { c.EnableIPv6 = false }),
			text: byAnnotation + "only IPv6 pools are named for eth0, and the configuration disables IPv6 (enableIPv6: false)",
		},
		"disabled": {in: one(disabled), want: Refusal{Pools: []string{"a"}}, text: left("is disabled")},
		"deleted":  {in: one(deleted), want: Refusal{Pools: []string{"a"}}, text: left("is being deleted")},
		"other namespaces by name": {
			in: one(spec(func(s *crdv1.IPPoolSpec) {
				s.NamespaceName = []string{"b", "c", "d", "e", "f"}
				s.NamespaceAffinity = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "a"}}
			})),
			want: Refusal{Pools: []string{"a"}},
			text: left("is for other namespaces than team-a (namespaceName)"),
		},
		"other namespaces by label": {
			in: one(spec(func(s *crdv1.IPPoolSpec) {
				s.NamespaceAffinity = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "b"}}
			})),
			want: Refusal{Pools: []string{"a"}},
			text: left("is for other namespaces than team-a (namespaceAffinity)"),
		},
		"other pods": {
			in: one(spec(func(s *crdv1.IPPoolSpec) {
				s.PodAffinity = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: metav1.LabelSelectorOpDoesNotExist}}}
			})),
			want: Refusal{Pools: []string{"a"}},
			text: left("does not match the labels of the pod (podAffinity !app)"),
		},
		"a selector that cannot be read": {
			in: one(spec(func(s *crdv1.IPPoolSpec) {
				s.PodAffinity = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: "Near"}}}
			})),
			want: Refusal{Pools: []string{"a"}},
			text: left(`has a podAffinity that cannot be read: "Near" is not a valid label selector operator`),
		},
		"certain nodes by name": {
			in:   one(spec(func(s *crdv1.IPPoolSpec) { s.NodeName = []string{"n1"} })),
			want: Refusal{Pools: []string{"a"}},
			text: left("is for certain nodes: nodeName is not supported yet for pods without spec.nodeName"),
		},
		"other nodes than the pod's": {
			in:   onNode("n2", one(spec(func(s *crdv1.IPPoolSpec) { s.NodeName = []string{"n1"} }))),
			want: Refusal{Pools: []string{"a"}},
			text: left("is for other nodes than n2, which the pod names (nodeName n1)"),
		},
		"certain nodes by label": {
			in: one(spec(func(s *crdv1.IPPoolSpec) {
				s.NodeAffinity = &metav1.LabelSelector{MatchLabels: map[string]string{"zone": "x"}}
			})),
			want: Refusal{Pools: []string{"a"}},
			text: left("is for certain nodes: nodeAffinity is not supported yet"),
		},
		"certain attachments": {
			in:   one(spec(func(s *crdv1.IPPoolSpec) { s.MultusName = []string{"x/y"} })),
			want: Refusal{Pools: []string{"a"}},
			text: left("is for certain network attachments: multusName is not supported yet"),
		},
		"not judged yet: worth a moment": {
			in:   one(unjudged),
			want: Refusal{Pools: []string{"a"}, Undecided: true, NotYet: true},
			text: left("is not Ready yet"),
		},
		"changed since it was judged: worth a moment": {
			in:   one(condition(metav1.ConditionTrue, crdv1.ReasonInitialised, "", 2)),
			want: Refusal{Pools: []string{"a"}, Undecided: true, NotYet: true},
			text: left("is not Ready yet since its last change"),
		},
		"Ready without saying for which change of the pool": {
			in:   one(condition(metav1.ConditionTrue, crdv1.ReasonInitialised, "", 0)),
			want: Refusal{Pools: []string{"a"}, Undecided: true, NotYet: true},
			text: left("is not Ready yet since its last change"),
		},
		"refused by the leader: not worth a moment, and nothing to fix in the pod": {
			in:   one(condition(metav1.ConditionFalse, crdv1.ReasonOverlap, `overlaps pool "b" (10.1.0.1)`, 3)),
			want: Refusal{Pools: []string{"a"}, NotYet: true},
			text: left(`is not Ready: OverlapsOlderPool: overlaps pool "b" (10.1.0.1)`),
		},
		"not judged yet, and not for this pod anyway": {
			in:   one(unjudged, disabled),
			want: Refusal{Pools: []string{"a"}},
			text: left("is disabled"),
		},
		"waiting helps one family, not the other": {
			in: snapshot(pool4("a", unjudged), pool6("z", disabled)).
				pod(crdv1.AnnotationIPPool, `{"ipv4":["a"],"ipv6":["z"]}`),
			want: Refusal{Pools: []string{"a", "z"}},
			text: left("is not Ready yet") + `; no pool is left for IPv6 of eth0: "z" is disabled`,
		},
		"every candidate is named": {
			in: snapshot(pool4("a", disabled, isDefault), pool4("b", deleted, isDefault)).
				configured(func(c *config.Config) { c.ClusterDefaultIPv4IPPool = []string{"c", "b"} }),
			want: Refusal{Pools: []string{"c", "b", "a"}, AllPools: true},
			text: `choosing pools by the cluster's default pools: no pool is left for IPv4 of eth0: "c" does not exist; "b" is being deleted; "a" is disabled`,
		},
		"families without a common VLAN": {
			in: snapshot(pool4("a", onVlan(1)), pool6("z")).
				pod(crdv1.AnnotationIPPool, `{"ipv4":["a"],"ipv6":["z"]}`),
			want: Refusal{Pools: []string{"z"}},
			text: byAnnotation + `no pool is left for IPv6 of eth0: "z" has vlan 0, and "a" with vlan 1 goes before it on the same NIC`,
		},
		"subnets": {in: one().pod(crdv1.AnnotationSubnets, "[]"), text: "annotation ipam.spidernet.io/subnets: not supported yet"},
		"subnet":  {in: one().pod(crdv1.AnnotationSubnet, ""), text: "annotation ipam.spidernet.io/subnet: not supported yet"},
		"ippools": {in: one().pod(crdv1.AnnotationIPPools, "[]"), text: "annotation ipam.spidernet.io/ippools: not supported yet"},
		"routes":  {in: one().pod(crdv1.AnnotationRoutes, "[]"), text: "annotation ipam.spidernet.io/routes: not supported yet"},
		"a number of addresses": {
			in:   snapshot(pool4("a", isDefault)).pod(crdv1.AnnotationIPPoolIPNumber, "5"),
			text: "annotation ipam.spidernet.io/ippool-ip-number: not supported yet",
		},
		"a network attachment": {
			in:   snapshot(pool4("a", isDefault)).pod(multusNetworks, "x"),
			text: "annotation k8s.v1.cni.cncf.io/networks: not supported yet",
		},
		"another default network": {
			in:   snapshot(pool4("a", isDefault)).pod(multusDefaultNetwork, "x"),
			text: "annotation v1.multus-cni.io/default-network: not supported yet",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Choose(test.in)
			var refusal *Refusal
			if !errors.As(err, &refusal) {
				t.Fatalf("got %v, %v; want a refusal", got, err)
			}
			if refusal.Error() != test.text {
				t.Errorf("text %s\nwant %s", refusal, test.text)
			}
			test.want.Rule, test.want.Reason = refusal.Rule, refusal.Reason
			if diff := cmp.Diff(&test.want, refusal); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestChooseIsPure: the same snapshot gives the same answer, and is not changed.
func TestChooseIsPure(t *testing.T) {
	t.Parallel()
	in := snapshot(pool4("a", onVlan(1)), pool4("b"), pool4("c", isDefault), pool6("z")).
		pod(crdv1.AnnotationIPPool, `{"ipv4":["a","b"],"ipv6":["z"]}`)
	before := in.Pod.DeepCopy()
	pools := map[string]*crdv1.SpiderIPPool{}
	for p := range in.Pools.All() {
		pools[p.Name] = p.DeepCopy()
	}
	first, err := Choose(in)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Choose(in)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, second); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(before, in.Pod); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(pools, map[string]*crdv1.SpiderIPPool(in.Pools.(poolMap))); diff != "" {
		t.Error(diff)
	}
}
