package v1_test

import (
	"encoding/json"
	"slices"
	"testing"

	v1 "spidernet.io/spiderpool/crds/v1"
)

// What is read of an annotation is the same once it was written again, and what cannot be read
// claims nothing.
func FuzzClaimsOf(f *testing.F) {
	f.Add("eth0", `{"interface":"eth0","ipv4":"172.18.41.40/16","ipv4pool":"a","ipv4gateway":"172.18.0.1"}`)
	f.Add("net1", `{"interface":"net1","ipv4":"10.0.0.1/24","ipv4pool":"a","ipv6":"fd00::1/64","ipv6pool":"b","vlan":5}`)
	f.Add("eth0", `{"interface":"eth0","routes":[{"dst":"0.0.0.0/0","gw":"10.0.0.1"}]}`)
	f.Add("eth0", `{"interface":"eth0","ipv4":"::ffff:10.0.0.1/24","ipv4pool":"a"} x`)
	f.Fuzz(func(t *testing.T, nic, value string) {
		claims, errs := v1.ClaimsOf(map[string]string{v1.AnnotationAssignedPrefix + nic: value})
		if len(errs) > 0 {
			if len(claims) > 0 {
				t.Fatalf("both %v and %v", claims, errs)
			}
			return
		}
		assigned, err := v1.ParseAssigned(nic, value)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(assigned)
		if err != nil {
			t.Fatal(err)
		}
		again, errs := v1.ClaimsOf(map[string]string{v1.AnnotationAssignedPrefix + nic: string(text)})
		if len(errs) > 0 || !slices.Equal(claims, again) {
			t.Fatalf("%s was read as %v, and written as %s, which is read as %v, %v", value, claims, text, again, errs)
		}
		for _, c := range claims {
			if !c.Address.IsValid() || c.Address.Zone() != "" || c.Address.Is4In6() || c.Pool == "" {
				t.Fatalf("%s claims %v", value, c)
			}
		}
	})
}
