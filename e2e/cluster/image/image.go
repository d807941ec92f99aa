package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Spec says what an image contains.
type Spec struct {
	Name    string // with registry and tag: "docker.io/library/busybox:latest"
	Entries []Entry
	Command []string // the default command
	Env     []string
}

// Entry is a file, a folder or a symbolic link of an image.
type Entry struct {
	Path string // without a leading slash; folders come before what is in them
	Mode fs.FileMode
	Data []byte // of a file
	Link string // target of a symbolic link
}

// File is a program or other file.
func File(path string, mode fs.FileMode, data []byte) Entry {
	return Entry{Path: path, Mode: mode, Data: data}
}

// Dir is a folder.
func Dir(path string, mode fs.FileMode) Entry { return Entry{Path: path, Mode: mode | fs.ModeDir} }

// Symlink is a symbolic link.
func Symlink(path, to string) Entry {
	return Entry{Path: path, Mode: 0o777 | fs.ModeSymlink, Link: to}
}

// Write writes the image as a tarball into a folder, unless it exists, and returns the file.
func Write(dir string, spec Spec) (string, error) {
	file, err := write(dir, spec)
	if err != nil {
		return "", fmt.Errorf("making image %q: %w", spec.Name, err)
	}
	return file, nil
}

func write(dir string, spec Spec) (string, error) {
	tag, err := name.NewTag(spec.Name, name.StrictValidation)
	if err != nil {
		return "", err
	}
	layer, err := archive(spec.Entries)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%q %q %q\n", spec.Name, spec.Command, spec.Env)
	sum.Write(layer)
	base := filepath.Base(tag.RepositoryStr())
	file := filepath.Join(dir, base+"-"+hex.EncodeToString(sum.Sum(nil))[:12]+".tar")
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return file, err
	}
	image, err := assemble(spec, layer)
	if err != nil {
		return "", err
	}
	return file, writeWhole(file, func(w io.Writer) error { return tarball.Write(tag, image, w) })
}

func assemble(spec Spec, data []byte) (v1.Image, error) {
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data)), nil
	})
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config = v1.Config{Cmd: spec.Command, Env: spec.Env}
	return mutate.ConfigFile(image, config)
}

// archive writes the layer. It has no time or owner of this computer.
func archive(entries []Entry) ([]byte, error) {
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	for _, e := range entries {
		header := &tar.Header{Name: e.Path, Mode: int64(e.Mode.Perm()), Size: int64(len(e.Data)), Typeflag: tar.TypeReg, Format: tar.FormatPAX}
		switch {
		case e.Mode.IsDir():
			header.Typeflag = tar.TypeDir
			header.Name += "/"
		case e.Mode&fs.ModeSymlink != 0:
			header.Typeflag, header.Linkname = tar.TypeSymlink, e.Link
		}
		if e.Mode&fs.ModeSticky != 0 {
			header.Mode |= 0o1000
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(e.Data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return buffer.Bytes(), err
}

// writeWhole writes a file atomically.
func writeWhole(file string, write func(io.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(file), ".writing-")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // already renamed if all went well
	if err := errors.Join(write(temp), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), file)
}
