package cni

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"
	"github.com/google/go-cmp/cmp"
)

func TestNewCallRefuses(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ variable, value, wantErr string }{
		"an unknown command":      {"CNI_COMMAND", "MOVE", `CNI_COMMAND: unknown command "MOVE"`},
		"a command in small":      {"CNI_COMMAND", "add", `CNI_COMMAND: unknown command "add"`},
		"no container":            {"CNI_CONTAINERID", "", `ADD needs CNI_CONTAINERID`},
		"no namespace":            {"CNI_NETNS", "", `ADD needs CNI_NETNS`},
		"no path":                 {"CNI_PATH", "", `ADD needs CNI_PATH`},
		"no NIC":                  {"CNI_IFNAME", "", `ADD needs CNI_IFNAME`},
		"a container with a path": {"CNI_CONTAINERID", "a/b", `CNI_CONTAINERID: "a/b" is not a container's identifier`},
		"a container with a dot":  {"CNI_CONTAINERID", ".a", `CNI_CONTAINERID: ".a" is not a container's identifier`},
		"a long NIC":              {"CNI_IFNAME", "0123456789abcdef", `CNI_IFNAME: "0123456789abcdef" is not the name of a NIC`},
		"a NIC of two dots":       {"CNI_IFNAME", "..", `CNI_IFNAME: ".." is not the name of a NIC`},
		"a NIC with a blank":      {"CNI_IFNAME", "a b", `CNI_IFNAME: "a b" is not the name of a NIC`},
		"a NIC with a slash":      {"CNI_IFNAME", "a/b", `CNI_IFNAME: "a/b" is not the name of a NIC`},
		"a NIC with a colon":      {"CNI_IFNAME", "a:b", `CNI_IFNAME: "a:b" is not the name of a NIC`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{}
			for _, pair := range append(addEnv("ADD"), tc.variable+"="+tc.value) {
				key, value, _ := strings.Cut(pair, "=")
				env[key] = value
			}
			_, err := newCall(func(key string) string { return env[key] })
			wantError(t, err, 4, tc.wantErr)
		})
	}
}

// skelName is the name under which this test binary is a plugin made of the
// library's skeleton.
const skelName = "reference"

// skelMain is a plugin that succeeds in all that the skeleton lets through.
func skelMain() int {
	succeed := func(*skel.CmdArgs) error { return nil }
	err := skel.PluginMainFuncsWithError(skel.CNIFuncs{Add: succeed, Check: succeed, Status: succeed},
		version.PluginSupports(versions...), "")
	if err == nil {
		return 0
	}
	_ = err.Print() // the exit code tells
	return 1
}

// TestCallsAreRefusedAsTheLibraryDoes holds the reading of the environment and
// of the version to the library's skeleton, which is too slow to be used: both
// must refuse the same calls with the same code.
func TestCallsAreRefusedAsTheLibraryDoes(t *testing.T) {
	t.Parallel()
	folder := installed(t, PluginName, skelName)
	conf := func(version string) []byte {
		return netConf(t, nil, annotated, map[string]any{"cniVersion": version, "prevResult": decoded(t, strings.Replace(singleResult, "1.0.0", version, 1))})
	}
	type call struct {
		env   []string
		stdin []byte
	}
	calls := map[string]call{
		"no command":      {nil, conf("1.0.0")},
		"a wrong command": {addEnv("MOVE"), conf("1.0.0")},
		"VERSION":         {addEnv("VERSION"), nil},
		"no JSON":         {addEnv("ADD"), []byte("x")},
		"no name":         {addEnv("ADD"), []byte(`{"cniVersion":"1.0.0"}`)},
		"a wrong name":    {addEnv("ADD"), []byte(`{"cniVersion":"1.0.0","name":"a b"}`)},
	}
	for _, command := range []string{"ADD", "CHECK", "STATUS"} {
		for _, version := range []string{"", "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0", "1.2.0", "2.0.0"} {
			calls[command+" of version "+version] = call{addEnv(command), conf(version)}
		}
		for _, variable := range []string{"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH", "CNI_ARGS"} {
			calls[command+" without "+variable] = call{append(addEnv(command), variable+"="), conf("1.1.0")}
		}
		calls[command+" of a wrong container"] = call{append(addEnv(command), "CNI_CONTAINERID=a b"), conf("1.1.0")}
		calls[command+" of a wrong NIC"] = call{append(addEnv(command), "CNI_IFNAME=a b"), conf("1.1.0")}
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := code(t, folder, skelName, call.env, call.stdin)
			if got := code(t, folder, PluginName, call.env, call.stdin); got != want {
				t.Errorf("error code %d, the library's is %d", got, want)
			}
		})
	}
}

// code runs a program and returns the error code that it prints, 0 for success.
func code(t *testing.T, folder, name string, env []string, stdin []byte) uint {
	t.Helper()
	command := exec.CommandContext(t.Context(), filepath.Join(folder, name))
	command.Env = append([]string{"HOME=/"}, env...) // never empty: that would mean this process's
	command.Stdin = bytes.NewReader(stdin)
	output, err := command.Output()
	if err == nil {
		return 0
	}
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
		t.Fatal(err)
	}
	var printed struct{ Code uint }
	if err := json.Unmarshal(output, &printed); err != nil {
		t.Fatalf("%v in %s", err, output)
	}
	return printed.Code
}

func TestErrorsAreThoseOfTheLibrary(t *testing.T) {
	t.Parallel()
	codes := map[uint]uint{ // ours -> the library's
		CodeIncompatibleCNIVersion:      types.ErrIncompatibleCNIVersion,
		CodeInvalidEnvironmentVariables: types.ErrInvalidEnvironmentVariables,
		CodeIOFailure:                   types.ErrIOFailure,
		CodeDecodingFailure:             types.ErrDecodingFailure,
		CodeInvalidNetworkConfig:        types.ErrInvalidNetworkConfig,
		CodeTryAgainLater:               types.ErrTryAgainLater,
		CodePluginNotAvailable:          types.ErrPluginNotAvailable,
		CodeInternal:                    types.ErrInternal,
	}
	for ours, theirs := range codes {
		if ours != theirs {
			t.Errorf("code %d, the library's is %d", ours, theirs)
		}
	}
	for _, details := range []string{"", "look \"here\"\n\x01é"} {
		e := fail(CodeInternal, details, "no %s", "luck")
		var read types.Error
		if err := json.Unmarshal(e.text(), &read); err != nil {
			t.Fatalf("%v in %s", err, e.text())
		}
		want := types.Error{Code: 999, Msg: "no luck", Details: details}
		if diff := cmp.Diff(want, read); diff != "" {
			t.Errorf("read by the library (-want +got):\n%s", diff)
		}
		if e.Error() != want.Error() {
			t.Errorf("got %q, the library says %q", e.Error(), want.Error())
		}
		if !strings.HasPrefix(string(e.text()), `{"cniVersion":"1.1.0",`) {
			t.Errorf("no version in %s", e.text())
		}
	}
}

// TestVersionIsReadByTheLibrary decodes the answer to VERSION as runtimes do.
func TestVersionIsReadByTheLibrary(t *testing.T) {
	t.Parallel()
	info, err := (&version.PluginDecoder{}).Decode(versionResult())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(versions, info.SupportedVersions()); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
	if newest := versions[len(versions)-1]; newest != version.Current() {
		t.Errorf("the newest version is %s, the library's is %s", newest, version.Current())
	}
}
