package cni

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMain runs the plugin itself when this test binary is started under its name.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == PluginName {
		os.Exit(Main())
	}
	os.Exit(m.Run())
}

// start runs the plugin and returns what it printed and its exit code.
func start(t *testing.T, stdin io.Reader, stdout io.Writer, env ...string) (stderr string, code int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), self)
	command.Args[0] = PluginName
	command.Env = append([]string{"HOME=/"}, env...) // never empty: that would mean this process's environment
	var errors bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = stdin, stdout, &errors
	if err := command.Run(); command.ProcessState == nil {
		t.Fatal(err)
	}
	return errors.String(), command.ProcessState.ExitCode()
}

// addEnv is the environment of an ADD into a network namespace that does not exist; the plugin does
// not need it.
func addEnv(command string) []string {
	return []string{
		"CNI_COMMAND=" + command, "CNI_CONTAINERID=c1", "CNI_NETNS=/no/such/netns", "CNI_IFNAME=eth0",
		"CNI_PATH=/no/such/folder", "CNI_ARGS=" + podArgs,
	}
}

func TestProcessAnswers(t *testing.T) {
	t.Parallel()
	newest := map[string]any{"cniVersion": "1.1.0"}
	previous := map[string]any{"prevResult": decoded(t, singleResult)}
	without := func(command, variable string) []string { return append(addEnv(command), variable+"=") }
	refused := func(code int, msg string) string {
		return fmt.Sprintf(`{"cniVersion":"1.1.0","code":%d,"msg":%q}`, code, msg)
	}
	incompatible := func(version string) string {
		return fmt.Sprintf(`{"cniVersion":"1.1.0","code":1,"msg":"incompatible CNI versions","details":`+
			`"config is \"%s\", plugin supports [\"0.3.1\" \"0.4.0\" \"1.0.0\" \"1.1.0\"]"}`, version)
	}
	cases := map[string]struct {
		env   []string
		stdin []byte
		want  string // a protocol error if it has a code
	}{
		"VERSION":           {env: []string{"CNI_COMMAND=VERSION"}, want: `{"cniVersion":"1.1.0","supportedVersions":["0.3.1","0.4.0","1.0.0","1.1.0"]}`},
		"ADD":               {addEnv("ADD"), netConf(t, nil, annotated, nil), singleResult},
		"CHECK":             {addEnv("CHECK"), netConf(t, nil, annotated, previous), ""},
		"STATUS":            {addEnv("STATUS"), netConf(t, nil, nil, newest), ""},
		"no command at all": {},
		"ADD that is refused": {addEnv("ADD"), netConf(t, map[string]any{"x": 1}, nil, nil),
			refused(7, `network configuration: ipam: unknown key "x"`)},
		"ADD of an older version":      {addEnv("ADD"), netConf(t, nil, annotated, map[string]any{"cniVersion": "0.2.0"}), incompatible("0.2.0")},
		"ADD of a newer version":       {addEnv("ADD"), netConf(t, nil, annotated, map[string]any{"cniVersion": "1.2.0"}), incompatible("1.2.0")},
		"CHECK of 0.3.1":               {addEnv("CHECK"), netConf(t, nil, annotated, map[string]any{"cniVersion": "0.3.1"}), refused(1, "config version does not allow CHECK")},
		"STATUS of 1.0.0":              {addEnv("STATUS"), netConf(t, nil, nil, nil), refused(1, "config version does not allow STATUS")},
		"nothing on standard input":    {addEnv("ADD"), nil, refused(6, "error unmarshall network config: unexpected end of JSON input")},
		"no name of the network":       {addEnv("ADD"), []byte(`{"cniVersion":"1.0.0"}`), refused(7, "missing network name")},
		"a command that is not known":  {addEnv("MOVE"), netConf(t, nil, annotated, nil), refused(4, "unknown CNI_COMMAND: MOVE")},
		"ADD without a container":      {without("ADD", "CNI_CONTAINERID"), netConf(t, nil, annotated, nil), refused(4, "required env variables [CNI_CONTAINERID] missing")},
		"ADD without a namespace":      {without("ADD", "CNI_NETNS"), netConf(t, nil, annotated, nil), refused(4, "required env variables [CNI_NETNS] missing")},
		"CHECK without a NIC":          {without("CHECK", "CNI_IFNAME"), netConf(t, nil, annotated, nil), refused(4, "required env variables [CNI_IFNAME] missing")},
		"STATUS without a search path": {without("STATUS", "CNI_PATH"), netConf(t, nil, nil, newest), refused(4, "required env variables [CNI_PATH] missing")},
		"GC":                           {addEnv("GC"), netConf(t, map[string]any{"x": 1}, nil, newest), ""},
		"GC of garbage":                {[]string{"CNI_COMMAND=GC"}, []byte("}{"), ""},
		"GC of an older version":       {addEnv("GC"), netConf(t, nil, nil, nil), ""},
		"DEL":                          {addEnv("DEL"), netConf(t, nil, annotated, nil), ""},
		"DEL of garbage":               {addEnv("DEL"), []byte("}{"), ""},
		"DEL of an unknown key":        {addEnv("DEL"), netConf(t, map[string]any{"x": 1}, nil, nil), ""},
		"DEL of another version":       {addEnv("DEL"), netConf(t, nil, nil, map[string]any{"cniVersion": "9.9.9"}), ""},
		"DEL in its own netns":         {append(addEnv("DEL"), "CNI_NETNS=/proc/self/ns/net"), netConf(t, nil, nil, nil), ""},
		"DEL of a wrong container":     {append(addEnv("DEL"), "CNI_CONTAINERID=a/b"), netConf(t, nil, nil, nil), ""},
		"DEL without environment":      {env: []string{"CNI_COMMAND=DEL"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout bytes.Buffer
			_, code := start(t, bytes.NewReader(tc.stdin), &stdout, tc.env...)
			if isError := strings.Contains(tc.want, `"code"`); isError != (code == 1) || code > 1 {
				t.Errorf("exit code %d", code)
			}
			if tc.want == "" || stdout.Len() == 0 {
				if stdout.String() != tc.want {
					t.Errorf("got %q, want %q", &stdout, tc.want)
				}
				return
			}
			if diff := cmp.Diff(decoded(t, tc.want), decoded(t, stdout.String())); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
		})
	}
}

// TestProcessReportsAFailedWrite gives it a full disk as standard output.
func TestProcessReportsAFailedWrite(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = full.Close() })
	for _, command := range []string{"ADD", "CHECK"} { // a result, an error
		stderr, code := start(t, bytes.NewReader(netConf(t, nil, annotated, nil)), full, addEnv(command)...)
		if want := "spiderpool: writing the answer: write /dev/stdout: no space left on device\n"; code != 1 || stderr != want {
			t.Errorf("%s: exit code %d, got %q, want %q", command, code, stderr, want)
		}
	}
}

// TestDelAndGCReadTheirInputToItsEnd: a runtime treats a failed write to stdin as a failed command.
func TestDelAndGCReadTheirInputToItsEnd(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"DEL", "GC"} {
		input := bytes.NewReader(bytes.Repeat([]byte("x"), 1<<20))
		if stderr, code := start(t, input, nil, "CNI_COMMAND="+command); code != 0 || stderr != "" || input.Len() > 0 {
			t.Errorf("%s: exit code %d, %q, %d bytes were not read", command, code, stderr, input.Len())
		}
	}
}
