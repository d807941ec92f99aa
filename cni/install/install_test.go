package install

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"spidernet.io/spiderpool/cni/lookup"
)

// host returns a configuration with folders and sources that exist.
func host(t *testing.T) Config {
	t.Helper()
	root := t.TempDir()
	c := Config{
		SourceDir:           filepath.Join(root, "image"),
		BinDir:              filepath.Join(root, "host", "bin"),
		KubeconfigDir:       filepath.Join(root, "host", "net.d", "spiderpool"),
		KubeconfigDirOnHost: "/etc/cni/net.d/spiderpool",
		Server:              "https://[fd00::1]:443",
		ServiceAccountDir:   filepath.Join(root, "account"),
	}
	for _, folder := range []string{c.SourceDir, c.BinDir, c.ServiceAccountDir} {
		if err := os.MkdirAll(folder, 0o755); err != nil { // as on a host
			t.Fatal(err)
		}
	}
	put(t, filepath.Join(c.SourceDir, "spiderpool"), "plugin 1")
	put(t, filepath.Join(c.ServiceAccountDir, "ca.crt"), "authority 1")
	put(t, filepath.Join(c.ServiceAccountDir, "token"), "token 1")
	return c
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil { // as in an image
		t.Fatal(err)
	}
}

func apply(t *testing.T, c Config) []string {
	t.Helper()
	written, err := Apply(c)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, path := range written {
		names = append(names, filepath.Base(path))
	}
	return names
}

func TestApplyPutsEverythingInPlace(t *testing.T) {
	t.Parallel()
	c := host(t)
	want := []string{"spiderpool", "token", "kubeconfig"} // in this order
	if diff := cmp.Diff(want, apply(t, c)); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
	wantFile(t, filepath.Join(c.BinDir, "spiderpool"), "plugin 1", 0o755)
	wantFile(t, filepath.Join(c.KubeconfigDir, "token"), "token 1", 0o600)
	config := lookup.Config{Server: c.Server, CAData: []byte("authority 1"), TokenFile: "/etc/cni/net.d/spiderpool/token"}
	text, err := config.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	wantFile(t, filepath.Join(c.KubeconfigDir, "kubeconfig"), string(text), 0o600)
	for folder, files := range map[string]int{c.BinDir: 1, c.KubeconfigDir: 2} { // no file that was half written
		entries, err := os.ReadDir(folder)
		if err != nil || len(entries) != files {
			t.Errorf("%s holds %v, %v", folder, entries, err)
		}
	}
}

func wantFile(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
		return
	}
	if string(got) != content {
		t.Errorf("%s holds %q, want %q", path, got, content)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != mode {
		t.Errorf("%s has mode %v, %v, want %v", path, info.Mode(), err, mode)
	}
}

func TestApplyWritesOnlyWhatDiffers(t *testing.T) {
	t.Parallel()
	c := host(t)
	apply(t, c)
	steps := []struct {
		name   string
		change func()
		want   []string
	}{
		{"nothing changed", func() {}, nil},
		{"the token was renewed", func() { put(t, filepath.Join(c.ServiceAccountDir, "token"), "token 2") }, []string{"token"}},
		{"the authority was replaced", func() { put(t, filepath.Join(c.ServiceAccountDir, "ca.crt"), "authority 2") }, []string{"kubeconfig"}},
		{"a new plugin of the same length", func() { put(t, filepath.Join(c.SourceDir, "spiderpool"), "plugin 2") }, []string{"spiderpool"}},
		{"the plugin was removed", func() { remove(t, filepath.Join(c.BinDir, "spiderpool")) }, []string{"spiderpool"}},
		{"the token was made readable to all", func() { chmod(t, filepath.Join(c.KubeconfigDir, "token"), 0o644) }, []string{"token"}},
		{"the plugin was replaced by a link", func() { link(t, c, "spiderpool") }, []string{"spiderpool"}},
		{"nothing changed again", func() {}, nil},
	}
	for _, step := range steps { // each continues where the previous one ended
		step.change()
		if diff := cmp.Diff(step.want, apply(t, c)); diff != "" {
			t.Errorf("%s: written (-want +got):\n%s", step.name, diff)
		}
	}
	wantFile(t, filepath.Join(c.SourceDir, "decoy"), "plugin 2", 0o644) // the link was not followed
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// link puts a link in place of a binary, to a file of the same content.
func link(t *testing.T, c Config, name string) {
	t.Helper()
	decoy := filepath.Join(c.SourceDir, "decoy")
	put(t, decoy, "plugin 2")
	remove(t, filepath.Join(c.BinDir, name))
	if err := os.Symlink(decoy, filepath.Join(c.BinDir, name)); err != nil {
		t.Fatal(err)
	}
}

func TestApplyReplacesTheFileAndNotItsContent(t *testing.T) {
	t.Parallel()
	c := host(t)
	apply(t, c)
	running, err := os.Open(filepath.Join(c.BinDir, "spiderpool")) // like a process that was started from it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = running.Close() })
	put(t, filepath.Join(c.SourceDir, "spiderpool"), "a plugin of another length")
	apply(t, c)
	old := make([]byte, 100)
	n, err := running.Read(old)
	if err != nil || string(old[:n]) != "plugin 1" {
		t.Errorf("a running plugin sees %q, %v", old[:n], err)
	}
	wantFile(t, filepath.Join(c.BinDir, "spiderpool"), "a plugin of another length", 0o755)
}

func TestApplyInstallsThePluginWithoutAToken(t *testing.T) {
	t.Parallel()
	c := host(t)
	remove(t, filepath.Join(c.ServiceAccountDir, "token"))
	if _, err := Apply(c); err == nil {
		t.Error("no error without a token")
	}
	wantFile(t, filepath.Join(c.BinDir, "spiderpool"), "plugin 1", 0o755)
}

func TestApplyWithoutKubeconfig(t *testing.T) {
	t.Parallel()
	c := host(t)
	c.KubeconfigDir, c.KubeconfigDirOnHost, c.Server, c.ServiceAccountDir = "", "", "", ""
	if diff := cmp.Diff([]string{"spiderpool"}, apply(t, c)); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
}

func TestApplyRefuses(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		change func(t *testing.T, c *Config)
		want   string
	}{
		"a relative source":            {func(_ *testing.T, c *Config) { c.SourceDir = "x" }, `source folder: "x" is not an absolute path`},
		"no folder for binaries":       {func(_ *testing.T, c *Config) { c.BinDir = "" }, `CNI binary folder: "" is not an absolute path`},
		"a folder that does not exist": {func(_ *testing.T, c *Config) { c.BinDir += "x" }, `no such file or directory`},
		"no folder on the host":        {func(_ *testing.T, c *Config) { c.KubeconfigDirOnHost = "" }, `kubeconfig folder on the host: "" is not an absolute path`},
		"no server":                    {func(_ *testing.T, c *Config) { c.Server = "" }, `server: empty, and this is not a pod with KUBERNETES_SERVICE_HOST`},
		"a server without TLS":         {func(_ *testing.T, c *Config) { c.Server = "http://x" }, `making kubeconfig: server: "http://x" is not https://host:port`},
		"no plugin":                    {func(t *testing.T, c *Config) { remove(t, filepath.Join(c.SourceDir, "spiderpool")) }, `reading binary "spiderpool"`},
		"no authority":                 {func(t *testing.T, c *Config) { remove(t, filepath.Join(c.ServiceAccountDir, "ca.crt")) }, `reading certificate authority`},
		"no token":                     {func(t *testing.T, c *Config) { remove(t, filepath.Join(c.ServiceAccountDir, "token")) }, `reading token`},
		"an empty token":               {func(t *testing.T, c *Config) { put(t, filepath.Join(c.ServiceAccountDir, "token"), "\n") }, `the token is empty`},
		"a folder in the way":          {func(t *testing.T, c *Config) { mkdir(t, filepath.Join(c.BinDir, "spiderpool", "x")) }, `file exists`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := host(t)
			tc.change(t, &c)
			_, err := Apply(c)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
			if entries, _ := filepath.Glob(filepath.Join(c.BinDir, ".*")); len(entries) > 0 {
				t.Errorf("left %v behind", entries)
			}
		})
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

func TestServerFromEnv(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ host, port, want string }{
		"IPv4":           {"10.96.0.1", "443", "https://10.96.0.1:443"},
		"IPv6":           {"fd00::1", "6443", "https://[fd00::1]:6443"},
		"outside a pod":  {"", "", ""},
		"without a port": {"10.96.0.1", "", ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{"KUBERNETES_SERVICE_HOST": tc.host, "KUBERNETES_SERVICE_PORT": tc.port}
			if got := ServerFromEnv(func(key string) string { return env[key] }); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// TestStayRenewsAndOutlivesErrors sends ticks by hand and reads what each of them did.
func TestStayRenewsAndOutlivesErrors(t *testing.T) {
	t.Parallel()
	c := host(t)
	apply(t, c)
	type outcome struct {
		written int
		failed  bool
	}
	ctx, stop := context.WithCancel(t.Context())
	ticks, outcomes, ended := make(chan time.Time), make(chan outcome), make(chan struct{})
	go func() {
		defer close(ended)
		Stay(ctx, c, ticks, func(written []string, err error) { outcomes <- outcome{len(written), err != nil} })
	}()
	token := filepath.Join(c.ServiceAccountDir, "token")
	steps := []struct {
		change func()
		want   outcome
	}{
		{func() {}, outcome{}},
		{func() { put(t, token, "token 2") }, outcome{written: 1}},
		{func() { remove(t, token) }, outcome{failed: true}},
		{func() { put(t, token, "token 3") }, outcome{written: 1}},
	}
	for i, step := range steps {
		step.change()
		ticks <- time.Time{}
		if got := <-outcomes; got != step.want {
			t.Errorf("step %d: got %+v, want %+v", i, got, step.want)
		}
	}
	wantFile(t, filepath.Join(c.KubeconfigDir, "token"), "token 3", 0o600)
	stop()
	<-ended
}
