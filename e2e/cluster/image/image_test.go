package image_test

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"spidernet.io/spiderpool/e2e/cluster/image"
)

func sample(data string) image.Spec {
	return image.Spec{
		Name: "example.test/group/sample:v1",
		Entries: []image.Entry{
			image.Dir("bin", 0o755),
			image.File("bin/program", 0o755, []byte(data)),
			image.Symlink("bin/other", "/bin/program"),
			image.Dir("tmp", fs.ModeSticky|0o777),
		},
		Command: []string{"/bin/program"},
	}
}

func TestWrittenImageHoldsWhatWasAsked(t *testing.T) {
	t.Parallel()
	file, err := image.Write(t.TempDir(), sample("content"))
	if err != nil {
		t.Fatal(err)
	}
	img, err := tarball.ImageFromPath(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.OS != "linux" || config.Architecture != runtime.GOARCH || !cmp.Equal(config.Config.Cmd, []string{"/bin/program"}) {
		t.Errorf("configuration: got %+v", config)
	}
	layers, err := img.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("got %d layers (%v), want 1", len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	want := []string{
		"bin/ 755 ",
		"bin/program 755 content",
		"bin/other 777 -> /bin/program",
		"tmp/ 1777 ",
	}
	if diff := cmp.Diff(want, list(t, content)); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

func list(t *testing.T, r io.Reader) []string {
	t.Helper()
	var lines []string
	archive := tar.NewReader(r)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		line := header.Name + " " + octal(header.Mode) + " " + string(data)
		if header.Linkname != "" {
			line += "-> " + header.Linkname
		}
		lines = append(lines, line)
	}
}

func octal(n int64) string { return strconv.FormatInt(n, 8) }

func TestSameContentIsTheSameFileAndOtherContentAnother(t *testing.T) {
	t.Parallel()
	one, two := t.TempDir(), t.TempDir()
	read := func(dir, data string) (string, string) {
		file, err := image.Write(dir, sample(data))
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimPrefix(file, dir), string(content)
	}
	nameOne, contentOne := read(one, "content")
	nameTwo, contentTwo := read(two, "content")
	if nameOne != nameTwo || contentOne != contentTwo {
		t.Errorf("the same content gave %s and %s, equal %v", nameOne, nameTwo, contentOne == contentTwo)
	}
	if other, _ := read(one, "changed"); other == nameOne {
		t.Errorf("changed content gave the same file %s", other)
	}
}

func TestNameWithoutATagIsRefused(t *testing.T) {
	t.Parallel()
	spec := sample("content")
	spec.Name = "busybox"
	if _, err := image.Write(t.TempDir(), spec); err == nil || !strings.Contains(err.Error(), `"busybox"`) {
		t.Errorf("got %v, want a refusal that names it", err)
	}
}

func TestBusyboxHasWhatManifestsCall(t *testing.T) {
	t.Parallel()
	file, err := image.Busybox(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	img, err := tarball.ImageFromPath(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	there := map[string]bool{} // name of a program -> found
	for _, line := range list(t, content) {
		path, _, _ := strings.Cut(line, " ")
		there[path[strings.LastIndexByte(path, '/')+1:]] = true
	}
	for _, program := range []string{"sh", "sleep", "ping", "nc", "httpd", "wget", "ip", "arping", "cat", "hostname", "ls", "nslookup"} {
		if !there[program] {
			t.Errorf("no %s in the image", program)
		}
	}
}
