package cni

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"spidernet.io/spiderpool/cni/lookup"
)

func TestParseArgs(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		args    string
		want    lookup.Pod
		wantErr string
	}{
		"no arguments": {},
		"those of kubelet's runtimes": {
			args: "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0.a;K8S_POD_INFRA_CONTAINER_ID=ab;K8S_POD_UID=0f7c9a6e-5c8e-4a34-8a1e-1b6f4e5d3c21",
			want: lookup.Pod{Namespace: "default", Name: "web-0.a", UID: "0f7c9a6e-5c8e-4a34-8a1e-1b6f4e5d3c21"},
		},
		"an unknown key": {args: "IgnoreUnknown=0;X=y", wantErr: `CNI_ARGS: ARGS: unknown args ["X=y"]`},
		"not a pair":     {args: "IgnoreUnknown=1;X", wantErr: `CNI_ARGS: ARGS: invalid pair "X"`},
		"not a boolean":  {args: "IgnoreUnknown=maybe", wantErr: `CNI_ARGS: ARGS: error parsing value of pair "IgnoreUnknown=maybe": boolean unmarshal error: invalid input maybe`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseArgs(tc.args)
			code := uint(0)
			if tc.wantErr != "" {
				code = 4
			}
			wantError(t, err, code, tc.wantErr)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("pod (-want +got):\n%s", diff)
			}
		})
	}
}
