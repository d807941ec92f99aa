package controlplane

import (
	_ "embed" // the manifest
	"testing"

	crdv1 "spidernet.io/spiderpool/crds/v1"
	"spidernet.io/spiderpool/e2e/behaviours"
)

//go:embed annot-invalid.yaml
var annotInvalidManifest []byte

// AnnotInvalid proves: each malformed annotation is refused with the annotation, the position and
// the reason, and so is each that this version cannot serve yet.
var AnnotInvalid = behaviours.Behaviour{ID: "annot-invalid", Manifest: annotInvalidManifest, Test: annotInvalid}

func annotInvalid(t *testing.T, e *behaviours.Env) {
	const denied = `admission webhook "pods.spiderpool.spidernet.io" denied the request: `
	before := e.Pool(t, "annot-invalid-pool").ResourceVersion
	for name, tc := range map[string]struct {
		key, value string
		want       string // behind denied
	}{
		"empty":           {crdv1.AnnotationIPPool, ``, `annotation ipam.spidernet.io/ippool: empty; want {"ipv4":["pool"],"ipv6":["pool"]}`},
		"not-json":        {crdv1.AnnotationIPPool, `{"ipv4":[annot-invalid-pool]}`, `annotation ipam.spidernet.io/ippool: ipv4[0]: not JSON: invalid character 'a' looking for beginning of value; want {"ipv4":["pool"],"ipv6":["pool"]}`},
		"not-an-object":   {crdv1.AnnotationIPPool, `["annot-invalid-pool"]`, `annotation ipam.spidernet.io/ippool: want an object such as {"ipv4":["pool"]}, found a list`},
		"ends-early":      {crdv1.AnnotationIPPool, `{"ipv4":["annot-invalid-pool"`, `annotation ipam.spidernet.io/ippool: ipv4: the text ends too early; want {"ipv4":["pool"],"ipv6":["pool"]}`},
		"unknown-key":     {crdv1.AnnotationIPPool, `{"ipv4":["annot-invalid-pool"],"nic":"eth0"}`, `annotation ipam.spidernet.io/ippool: unknown key "nic": want "ipv4" or "ipv6"`},
		"key-twice":       {crdv1.AnnotationIPPool, `{"ipv4":["annot-invalid-pool"],"ipv4":["annot-invalid-pool"]}`, `annotation ipam.spidernet.io/ippool: key "ipv4" is there twice`},
		"no-family":       {crdv1.AnnotationIPPool, `{}`, `annotation ipam.spidernet.io/ippool: names no pool: want "ipv4", "ipv6" or both`},
		"empty-list":      {crdv1.AnnotationIPPool, `{"ipv4":[]}`, `annotation ipam.spidernet.io/ippool: ipv4: an empty list: name a pool or leave it out`},
		"empty-name":      {crdv1.AnnotationIPPool, `{"ipv4":["annot-invalid-pool",""]}`, `annotation ipam.spidernet.io/ippool: ipv4[1]: an empty pool name`},
		"name-twice":      {crdv1.AnnotationIPPool, `{"ipv4":["annot-invalid-pool","annot-invalid-pool"]}`, `annotation ipam.spidernet.io/ippool: ipv4[1]: pool "annot-invalid-pool" is named twice`},
		"number":          {crdv1.AnnotationIPPool, `{"ipv4":[7]}`, `annotation ipam.spidernet.io/ippool: ipv4[0]: want a pool name in quotes, found 7`},
		"text-after":      {crdv1.AnnotationIPPool, `{"ipv4":["annot-invalid-pool"]} {}`, `annotation ipam.spidernet.io/ippool: text after the value, before byte 33`},
		"no-such-pool":    {crdv1.AnnotationIPPool, `{"ipv4":["annot-invalid-no-such-pool"]}`, `choosing pools by annotation ipam.spidernet.io/ippool: ipv4[0]: pool "annot-invalid-no-such-pool" does not exist`},
		"wrong-family":    {crdv1.AnnotationIPPool, `{"ipv6":["annot-invalid-pool"]}`, `choosing pools by annotation ipam.spidernet.io/ippool: ipv6[0]: pool "annot-invalid-pool" is not an IPv6 pool`},
		"later-ippools":   {crdv1.AnnotationIPPools, `[]`, `annotation ipam.spidernet.io/ippools: not supported yet`},
		"later-subnet":    {crdv1.AnnotationSubnet, `{"ipv4":["s"]}`, `annotation ipam.spidernet.io/subnet: not supported yet`},
		"later-subnets":   {crdv1.AnnotationSubnets, `[]`, `annotation ipam.spidernet.io/subnets: not supported yet`},
		"later-ip-number": {crdv1.AnnotationIPPoolIPNumber, "5", `annotation ipam.spidernet.io/ippool-ip-number: not supported yet`},
	} {
		t.Run(name, func(t *testing.T) {
			got := e.Refused(t, behaviours.NewPod("annot-invalid", name, map[string]string{tc.key: tc.value}))
			if got != denied+tc.want {
				t.Errorf("refusal is\n  %s\nwant\n  %s", got, denied+tc.want)
			}
		})
	}
	t.Run("namespace", func(t *testing.T) {
		got := e.Refused(t, behaviours.NewPod("annot-invalid-namespace", "pod", nil))
		want := denied + `annotation ipam.spidernet.io/default-ipv4-ippool of namespace annot-invalid-namespace: [1]: an empty pool name`
		if got != want {
			t.Errorf("refusal is\n  %s\nwant\n  %s", got, want)
		}
	})
	if after := e.Pool(t, "annot-invalid-pool").ResourceVersion; after != before {
		t.Errorf("the pool went from revision %s to %s although every pod was refused", before, after)
	}
}
