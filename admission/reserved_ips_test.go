package admission

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"spidernet.io/spiderpool/admission/config"
	crdv1 "spidernet.io/spiderpool/crds/v1"
)

func reserved(ips ...string) *crdv1.SpiderReservedIP {
	return &crdv1.SpiderReservedIP{
		TypeMeta:   metav1.TypeMeta{APIVersion: crdv1.GroupVersion.String(), Kind: "SpiderReservedIP"},
		ObjectMeta: metav1.ObjectMeta{Name: "r"},
		Spec:       crdv1.ReservedIPSpec{IPs: ips},
	}
}

func TestValidateReservedIPs(t *testing.T) {
	t.Parallel()
	const invalidR = `SpiderReservedIP.spiderpool.spidernet.io "r" is invalid: `
	six := func(r *crdv1.SpiderReservedIP) *crdv1.SpiderReservedIP { r.Spec.IPVersion = new(int64(6)); return r }
	tests := map[string]struct {
		in   *crdv1.SpiderReservedIP
		want string
	}{
		"one family":                    {reserved("10.0.0.1", "10.0.0.5-10.0.0.9"), ""},
		"the other":                     {six(reserved("fd00::-fd00::ffff:ffff:ffff:ffff")), ""},
		"no addresses":                  {reserved(), invalidR + "spec.ips: Required value: name at least one address"},
		"backwards":                     {reserved("10.0.0.1", "10.0.0.9-10.0.0.5"), invalidR + `spec.ips[1]: Invalid value: "10.0.0.9-10.0.0.5": start after end`},
		"two families":                  {reserved("10.0.0.1", "fd00::1"), invalidR + `spec.ips[1]: Invalid value: "fd00::1": IPv6, while entries before it are IPv4`},
		"another family":                {six(reserved("10.0.0.1")), invalidR + `spec.ipVersion: Invalid value: 6: ips are IPv4`},
		"not an address":                {reserved("gw"), invalidR + `spec.ips[0]: Invalid value: "gw": not an address`},
		"only unreadable and a version": {six(reserved("gw")), invalidR + `spec.ips[0]: Invalid value: "gw": not an address`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := NewReservedIPValidator(config.Default())
			_, err := v.ValidateCreate(t.Context(), test.in)
			check(t, err, test.want)
			_, err = v.ValidateUpdate(t.Context(), reserved("192.0.2.1"), test.in)
			check(t, err, test.want)
			// An update that does not change the spec passes.
			_, err = v.ValidateUpdate(t.Context(), test.in.DeepCopy(), test.in)
			check(t, err, "")
			_, err = v.ValidateDelete(t.Context(), test.in)
			check(t, err, "")
		})
	}
}

func TestReservedIPsOfADisabledFamily(t *testing.T) {
	t.Parallel()
	c := config.Default()
	c.EnableIPv6 = false
	v := NewReservedIPValidator(c)
	_, err := v.ValidateCreate(t.Context(), reserved("fd00::1"))
	check(t, err, `SpiderReservedIP.spiderpool.spidernet.io "r" is invalid: spec.ips[0]: Invalid value: "fd00::1": IPv6 is disabled by the configuration (enableIPv6: false)`)
	// It was created when the family was enabled, and can still be edited.
	_, err = v.ValidateUpdate(t.Context(), reserved("fd00::1"), reserved("fd00::2"))
	check(t, err, "")
}

func TestTheFamilyOfReservedIPsIsFilledIn(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   *crdv1.SpiderReservedIP
		want string
	}{
		"IPv4":         {reserved("10.0.0.1-10.0.0.2"), `[{"op":"add","path":"/spec/ipVersion","value":4}]`},
		"IPv6":         {reserved("fd00::1"), `[{"op":"add","path":"/spec/ipVersion","value":6}]`},
		"malformed":    {reserved("gw"), ``},
		"no addresses": {reserved(), ``},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			response := admission.WithDefaulter(testScheme(t), ReservedIPDefaulter{}).Handle(t.Context(), create(t, test.in))
			if !response.Allowed || string(response.Patch) != test.want {
				t.Errorf("answered %s", response.Patch)
			}
		})
	}
}
