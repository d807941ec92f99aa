package cni

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseArgs(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		args    string
		want    PodRef
		wantErr string
	}{
		"none": {},
		"those of kubelet's runtimes": {
			args: "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0.a;K8S_POD_INFRA_CONTAINER_ID=ab;K8S_POD_UID=0f7c9a6e-5c8e-4a34-8a1e-1b6f4e5d3c21",
			want: PodRef{Namespace: "default", Name: "web-0.a", UID: "0f7c9a6e-5c8e-4a34-8a1e-1b6f4e5d3c21"},
		},
		"a semicolon at the end":         {args: "K8S_POD_NAMESPACE=a;K8S_POD_NAME=b;", want: PodRef{Namespace: "a", Name: "b"}},
		"an ignored value with a sign =": {args: "IgnoreUnknown=true;X=a=b", want: PodRef{}},
		"an unknown key":                 {args: "IgnoreUnknown=0;X=y", wantErr: `CNI_ARGS: unknown key "X", and IgnoreUnknown is not set`},
		"no pair":                        {args: "IgnoreUnknown=1;X", wantErr: `CNI_ARGS: "X" is not a pair key=value`},
		"no key":                         {args: "=x", wantErr: `CNI_ARGS: "=x" is not a pair key=value`},
		"a key twice":                    {args: "K8S_POD_NAME=a;K8S_POD_NAME=b", wantErr: `CNI_ARGS: key K8S_POD_NAME is there twice`},
		"no boolean":                     {args: "IgnoreUnknown=maybe", wantErr: `CNI_ARGS: IgnoreUnknown: "maybe" is neither true nor false`},
		"a name without a namespace":     {args: "K8S_POD_NAME=a", wantErr: `CNI_ARGS: K8S_POD_NAMESPACE "" and K8S_POD_NAME "a" belong together`},
		"a name that is a path":          {args: "K8S_POD_NAMESPACE=a;K8S_POD_NAME=../secrets/b", wantErr: `CNI_ARGS: K8S_POD_NAME: "../secrets/b" is not a pod's name`},
		"a name of dots":                 {args: "K8S_POD_NAMESPACE=a;K8S_POD_NAME=..", wantErr: `CNI_ARGS: K8S_POD_NAME: ".." is not a pod's name`},
		"a namespace with a query":       {args: "K8S_POD_NAMESPACE=a?b;K8S_POD_NAME=c", wantErr: `CNI_ARGS: K8S_POD_NAMESPACE: "a?b" is not a namespace's name`},
		"a namespace in capitals":        {args: "K8S_POD_NAMESPACE=A;K8S_POD_NAME=c", wantErr: `CNI_ARGS: K8S_POD_NAMESPACE: "A" is not a namespace's name`},
		"a long namespace": {
			args:    "K8S_POD_NAMESPACE=" + strings.Repeat("a", 64) + ";K8S_POD_NAME=c",
			wantErr: `CNI_ARGS: K8S_POD_NAMESPACE: "` + strings.Repeat("a", 64) + `" is not a namespace's name`,
		},
		"a UID with blanks": {args: "K8S_POD_UID=a b", wantErr: `CNI_ARGS: K8S_POD_UID: "a b" is not a UID`},
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

// FuzzArgs proves that a name that was taken stays one element of a URL's path.
func FuzzArgs(f *testing.F) {
	f.Add("IgnoreUnknown=1;K8S_POD_NAMESPACE=a;K8S_POD_NAME=b;K8S_POD_UID=c;X=y")
	f.Add("K8S_POD_NAMESPACE=a;K8S_POD_NAME=..")
	f.Add(";;=;")
	word := regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	f.Fuzz(func(t *testing.T, args string) {
		pod, err := ParseArgs(args)
		if err != nil || pod.Name == "" {
			return
		}
		if !word.MatchString(pod.Namespace) || !word.MatchString(pod.Name) {
			t.Errorf("took %+v", pod)
		}
		joined, err := url.JoinPath("https://h", "n", pod.Namespace, "p", pod.Name)
		if want := "https://h/n/" + pod.Namespace + "/p/" + pod.Name; err != nil || joined != want {
			t.Errorf("URL %q, %v, want %q", joined, err, want)
		}
	})
}
