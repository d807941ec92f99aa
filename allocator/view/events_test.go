package view

import (
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-logr/logr/funcr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var x = netip.MustParseAddr("10.0.0.1")

func TestClipKeepsRunesWhole(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"short", strings.Repeat("a", 100), strings.Repeat("ü", 100), strings.Repeat("語", 100)} {
		got := Clip(text, 50)
		if len(got) > 50 || !utf8.ValidString(got) || len(text) <= 50 && got != text || len(text) > 50 && len(got) < 46 {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}

func TestEveryStepIsLoggedWithTheSameKeys(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pod  *Pod
		more []any
		want string
	}{
		"a pod": {
			&Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: "u"}, Node: "n"}, nil,
			`"level"=0 "msg"="address bound" "pool"="a" "address"="10.0.0.1" "pod"="ns/p" "uid"="u" "node"="n"`,
		},
		"an unknown pod": {
			&Pod{}, []any{"why", "so"},
			`"level"=0 "msg"="address bound" "pool"="a" "address"="10.0.0.1" "pod"="" "uid"="" "node"="" "why"="so"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got string
			LogStep(funcr.New(func(_, args string) { got = args }, funcr.Options{}), "bound", "a", x, c.pod, c.more...)
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
