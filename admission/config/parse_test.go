package config

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

var bySelectorText = cmp.Comparer(func(a, b labels.Selector) bool { return a.String() == b.String() && a.Empty() == b.Empty() })

func TestParse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   string
		want func(*Config)
	}{
		"nothing is the default":                   {"", func(*Config) {}},
		"comments and a document mark are nothing": {"# a comment\n---\n# another\n", func(*Config) {}},
		"a key without a value is not there":       {"enableIPv4:\nclusterDefaultIPv4IPPool:\n", func(*Config) {}},
		"one family":                               {"enableIPv6: false", func(c *Config) { c.EnableIPv6 = false }},
		"default pools keep their order": {
			"clusterDefaultIPv4IPPool: [b, a]\nclusterDefaultIPv6IPPool:\n- c.d-1\n",
			func(c *Config) {
				c.ClusterDefaultIPv4IPPool = []string{"b", "a"}
				c.ClusterDefaultIPv6IPPool = []string{"c.d-1"}
			},
		},
		"not the default network": {"defaultNetwork: false", func(c *Config) { c.DefaultNetwork = false }},
		"namespaces left alone": {
			"ignoredNamespaces:\n  matchExpressions:\n  - {key: team, operator: In, values: [infra]}\n  matchLabels: {a: b}\n",
			func(c *Config) { c.IgnoredNamespaces = mustSelector("a=b,team in (infra)") },
		},
		"a short grace with a short time-out": {
			"apiServerRequestTimeout: 10s\nexpiryGrace: 20s",
			func(c *Config) { c.APIServerRequestTimeout, c.ExpiryGrace = 10*time.Second, 20*time.Second },
		},
		"keys that nothing reads yet, saying what happens anyway": {
			"enableSpiderSubnet: false\nclusterDefaultIPv4Subnet: []\nclusterDefaultIPv6Subnet: []\nclusterSubnetDefaultFlexibleIPNumber: 1\n",
			func(*Config) {},
		},
		"pods are refused":                {"exhaustion: reject", func(c *Config) { c.Exhaustion = ExhaustionReject }},
		"pods wait, which is the default": {"exhaustion: wait", func(*Config) {}},
		"no stable addresses":             {"enableStatefulSet: false", func(c *Config) { c.EnableStatefulSet = false }},
		"stable addresses":                {"enableStatefulSet: true", func(*Config) {}},
		"kinds with a stable identity": {
			"stableIdentityKinds:\n- {group: games.example.com, kind: GameServer}\n- kind: Thing\n- {group: apps, kind: StatefulSet}\n",
			func(c *Config) {
				c.StableIdentityKinds = []schema.GroupKind{{Group: "games.example.com", Kind: "GameServer"}, {Kind: "Thing"}, {Group: "apps", Kind: "StatefulSet"}}
			},
		},
		"no kinds":      {"stableIdentityKinds: []", func(*Config) {}},
		"a cap":         {"reservationCap: {namespace: 100, owner: 100}", func(c *Config) { c.ReservationCap = ReservationCap{Namespace: 100, Owner: 100} }},
		"half of a cap": {"reservationCap: {owner: 7}", func(c *Config) { c.ReservationCap.Owner = 7 }},
		"an empty cap":  {"reservationCap: {}", func(*Config) {}},
		"a cap unset":   {"reservationCap:\n  namespace: 3\n  owner:\n", func(c *Config) { c.ReservationCap.Namespace = 3 }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse([]byte(test.in))
			if err != nil {
				t.Fatal(err)
			}
			want := Default()
			test.want(&want)
			if diff := cmp.Diff(want, got, bySelectorText); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTheChartSaysTheDefaults(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../chart/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var values struct {
		Config map[string]any `json:"config"`
	}
	if err := yaml.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	conf, err := yaml.Marshal(values.Config)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(conf)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), got, bySelectorText, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

func mustSelector(s string) labels.Selector {
	sel, err := labels.Parse(s)
	if err != nil {
		panic(err)
	}
	return sel
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   string
		want []string // parts of the message
	}{
		"an unknown key":                {"enableIPv5: true", []string{`unknown field "enableIPv5"`}},
		"an unknown key inside a value": {"ignoredNamespaces: {matchlabels: {a: b}}", []string{`unknown field "ignoredNamespaces.matchlabels"`}},
		"a key in another case":         {"EnableIPv4: false", []string{`unknown field "EnableIPv4"`}},
		"a key given twice":             {"enableIPv4: true\nenableIPv4: false", []string{`line 2`, `"enableIPv4" already set`}},
		"two documents":                 {"enableIPv4: true\n---\nenableIPv6: false\n", []string{"more than one YAML document"}},
		"a document after an end mark":  {"enableIPv4: true\n...\nenableIPv6: false\n", []string{"line 2", "<document start>"}},
		"a document on its mark":        {"enableIPv4: true\n--- {enableIPv6: false}\n", []string{"more than one YAML document"}},
		"a list":                        {"- enableIPv4", []string{"want keys with values"}},
		"a word":                        {"enableIPv4", []string{"want keys with values"}},
		"broken YAML":                   {"enableIPv4: [", []string{"line 1"}},
		"a switch that is a string":     {`enableIPv4: "false"`, []string{"enableIPv4", "cannot unmarshal string"}},
		"a pool that is a number":       {"clusterDefaultIPv4IPPool: [4]", []string{"clusterDefaultIPv4IPPool", "cannot unmarshal number"}},
		"a list that is a string":       {"clusterDefaultIPv4IPPool: a", []string{"clusterDefaultIPv4IPPool", "cannot unmarshal string"}},
		"a malformed pool name":         {"clusterDefaultIPv4IPPool: [a, Big]", []string{`clusterDefaultIPv4IPPool[1]: Invalid value: "Big": not a pool name`}},
		"an empty pool name":            {`clusterDefaultIPv6IPPool: [""]`, []string{`clusterDefaultIPv6IPPool[0]: Invalid value: ""`}},
		"a pool named twice":            {"clusterDefaultIPv4IPPool: [a, b, a]", []string{`clusterDefaultIPv4IPPool[2]: Duplicate value: "a"`}},
		"pools of a disabled family":    {"enableIPv6: false\nclusterDefaultIPv6IPPool: [a]", []string{"clusterDefaultIPv6IPPool: Forbidden: enableIPv6 is false"}},
		"no family":                     {"enableIPv4: false\nenableIPv6: false", []string{"enableIPv6", "no pod could be given an address"}},
		"a selector of all namespaces":  {"ignoredNamespaces: {}", []string{"ignoredNamespaces: Required value", "leave every namespace alone"}},
		"a malformed selector": {
			"ignoredNamespaces: {matchExpressions: [{key: a, operator: Near}]}",
			[]string{`ignoredNamespaces.matchExpressions[0].operator: Invalid value: "Near"`},
		},
		"a duration without a unit": {`expiryGrace: "90"`, []string{`expiryGrace: Invalid value: "90": want a duration`}},
		"a negative time-out":       {"apiServerRequestTimeout: -5s", []string{`apiServerRequestTimeout: Invalid value: "-5s": must be from 1s`}},
		"a grace of days":           {"expiryGrace: 48h", []string{`expiryGrace: Invalid value: "48h"`}},
		"a grace shorter than an admission": {
			"expiryGrace: 69s", []string{`expiryGrace: Invalid value: "1m9s": must be at least 1m10s, which is apiServerRequestTimeout and 10s`},
		},
		"a longer time-out with the default grace": {"apiServerRequestTimeout: 2m", []string{`expiryGrace: Invalid value: "1m30s": must be at least 2m10s`}},
		"subnets": {"enableSpiderSubnet: true", []string{"enableSpiderSubnet: Forbidden: not supported yet"}},
		"default subnets": {
			"clusterDefaultIPv4Subnet: [a]\nclusterDefaultIPv6Subnet: [b]",
			[]string{"clusterDefaultIPv4Subnet: Forbidden", "clusterDefaultIPv6Subnet: Forbidden"},
		},
		"a flexible number":          {"clusterSubnetDefaultFlexibleIPNumber: 2", []string{"clusterSubnetDefaultFlexibleIPNumber: Forbidden"}},
		"a cap that is a number":     {"reservationCap: 3", []string{"reservationCap", "cannot unmarshal number"}},
		"a cap of nothing":           {"reservationCap: {namespace: 0, owner: -1}", []string{"reservationCap.namespace: Invalid value: 0: must be at least 1", "reservationCap.owner: Invalid value: -1"}},
		"a cap of half an address":   {"reservationCap: {namespace: 2.5}", []string{"reservationCap.namespace", "cannot unmarshal number 2.5"}},
		"a cap that is not a number": {`reservationCap: {owner: "8"}`, []string{"reservationCap.owner", "cannot unmarshal string"}},
		"a cap that overflows":       {"reservationCap: {owner: 1e30}", []string{"reservationCap.owner", "cannot unmarshal number"}},
		"a cap per pod":              {"reservationCap: {pod: 1}", []string{`unknown field "reservationCap.pod"`}},
		"an owner above its namespace": {
			"reservationCap: {namespace: 4, owner: 5}", []string{"reservationCap.owner: Invalid value: 5: is more than namespace (4)"},
		},
		"a kind without a name": {
			"stableIdentityKinds: [{group: apps}, {}, null]",
			[]string{"stableIdentityKinds[0].kind: Required value", "stableIdentityKinds[1].kind: Required value", "stableIdentityKinds[2].kind: Required value"},
		},
		"a malformed kind": {"stableIdentityKinds: [{kind: Big.Thing}]", []string{`stableIdentityKinds[0].kind: Invalid value: "Big.Thing": not a kind`}},
		"a group with its version": {
			"stableIdentityKinds: [{group: apps/v1, kind: StatefulSet}]", []string{`stableIdentityKinds[0].group: Invalid value: "apps/v1": not an API group, which has no version`},
		},
		"a kind named twice": {
			`stableIdentityKinds: [{kind: A}, {group: "", kind: A}]`, []string{`stableIdentityKinds[1]: Duplicate value: "A"`},
		},
		"a kind that is a word":      {"stableIdentityKinds: [StatefulSet]", []string{"stableIdentityKinds", "cannot unmarshal string"}},
		"a kind with more than that": {"stableIdentityKinds: [{kind: A, version: v1}]", []string{`unknown field "stableIdentityKinds[0].version"`}},
		"an unknown exhaustion":      {"exhaustion: pray", []string{`exhaustion: Unsupported value: "pray": supported values: "wait", "reject"`}},
		"an empty exhaustion":        {`exhaustion: ""`, []string{`exhaustion: Unsupported value: ""`}},
		"everything that is wrong":   {"enableSpiderSubnet: true\nexpiryGrace: soon", []string{"enableSpiderSubnet", "expiryGrace"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte(test.in))
			if err == nil {
				t.Fatal("accepted")
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not say %q", err, part)
				}
			}
		})
	}
}

// FuzzParse: what is accepted satisfies what Config documents, and parsing is deterministic.
func FuzzParse(f *testing.F) {
	f.Add("enableIPv4: true\nclusterDefaultIPv4IPPool: [a]\nexpiryGrace: 100s\n")
	f.Add("ignoredNamespaces: {matchLabels: {a: b}}")
	f.Add("{\"enableIPv6\": false}\n---\n")
	f.Add("exhaustion: reject\nenableStatefulSet: false\nreservationCap: {namespace: 8, owner: 4}\n")
	f.Add("stableIdentityKinds: [{group: games.example.com, kind: GameServer}, {kind: Thing}]")
	f.Fuzz(func(t *testing.T, in string) {
		c, err := Parse([]byte(in))
		if err != nil {
			if err.Error() == "" {
				t.Error("error without a word")
			}
			return
		}
		switch {
		case !c.EnableIPv4 && !c.EnableIPv6:
			t.Error("no family")
		case c.ExpiryGrace < c.APIServerRequestTimeout+graceMargin:
			t.Errorf("grace %s with time-out %s", c.ExpiryGrace, c.APIServerRequestTimeout)
		case c.IgnoredNamespaces == nil || c.IgnoredNamespaces.Empty():
			t.Error("every namespace is left alone")
		case c.Exhaustion != ExhaustionWait && c.Exhaustion != ExhaustionReject:
			t.Errorf("exhaustion %q", c.Exhaustion)
		case c.ReservationCap.Namespace < 0 || c.ReservationCap.Owner < 0,
			c.ReservationCap.Namespace > 0 && c.ReservationCap.Owner > c.ReservationCap.Namespace:
			t.Errorf("caps %+v", c.ReservationCap)
		}
		for _, gk := range c.StableIdentityKinds {
			if gk.Kind == "" || strings.ContainsAny(gk.Kind+gk.Group, " /[]") || strings.Contains(gk.Kind, ".") {
				t.Errorf("kind %q of group %q", gk.Kind, gk.Group)
			}
		}
		again, err := Parse([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c, again, bySelectorText); diff != "" {
			t.Error(diff)
		}
	})
}
